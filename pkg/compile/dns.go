package compile

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// dnsParts is how many rows of the table DNS hold the records of all Services. One
// row for each Service would be dear: ovn-controller looks through all rows for each
// query (ovn_dns_lookup). One for all would be, too: ovn-northd writes the
// row's records anew when one of them changes.
const dnsParts = 16

// dnsPort is that of servers for the DNS.
const dnsPort = 53

// maxDNSAnswer is the size of an answer that everybody takes, in octets (RFC 1035
// §4.2.1). ovn-controller neither shortens an answer nor marks one as truncated.
const maxDNSAnswer = 512

// names says what OVN answers to queries for the names of a Service, and to those for
// the names of its addresses (ovn-nb(5), table DNS). Whatever else is asked, OVN leaves to the server that was asked:
// also the other family of a name that has one only (with options:ovn-owned it would refuse, for which
// some resolvers forget the answer of the first one).
func (c Config) names(r *Result, v *world.View, s *model.Service) {
	if c.DNSDomain == "" {
		return
	}
	row, name := dnsRow(dnsPartOf(s)), s.Name+"."+s.Namespace+".svc."+c.DNSDomain
	if !s.DNS.Headless {
		record(r, row, name, model.Families(s.DNS.Addrs))
		for _, address := range model.Families(s.DNS.Addrs) {
			r.Pair(row, "records", reverseName(address), name)
		}
		return
	}
	var all []netip.Addr
	named := map[string][]netip.Addr{}
	for _, e := range v.EndpointSlicesOfService(s.Namespace, s.Name) {
		all = append(all, e.Ready...)
		for _, n := range e.Named {
			named[n.Hostname] = append(named[n.Hostname], n.Addr)
		}
	}
	record(r, row, name, all)
	for hostname, addresses := range named {
		record(r, row, hostname+"."+name, addresses)
	}
}

// record is left out where an answer would be too large: the server that was asked can have the client ask by TCP.
func record(r *Result, row fact.Ref, name string, addresses []netip.Addr) {
	slices.SortFunc(addresses, netip.Addr.Compare)
	addresses = slices.Compact(addresses)
	if len(addresses) == 0 || dnsAnswer(name, addresses) > maxDNSAnswer {
		return
	}
	texts := make([]string, 0, len(addresses))
	for _, a := range addresses {
		texts = append(texts, a.String())
	}
	r.Pair(row, "records", name, strings.Join(texts, " "))
}

// dnsAnswer is the size of the larger one of the answers for IPv4 and IPv6, in octets:
// ovn-controller writes the whole name in each record (RFC 1035 §4.1, without §4.1.4).
func dnsAnswer(name string, addresses []netip.Addr) int {
	wire := len(name) + 2 // a length before each label, and the root
	const header, question, fixed = 12, 4, 10
	var v4, v6 int
	for _, a := range addresses {
		if a.Is4() {
			v4 += wire + fixed + 4
		} else {
			v6 += wire + fixed + 16
		}
	}
	return header + wire + question + max(v4, v6)
}

// reverseName is the name that a query for the name of an address asks for (RFC 1035 §3.5, RFC 3596 §2.5).
func reverseName(a netip.Addr) string {
	raw := a.AsSlice()
	slices.Reverse(raw)
	var out strings.Builder
	for _, b := range raw {
		if a.Is4() {
			fmt.Fprintf(&out, "%d.", b)
		} else {
			fmt.Fprintf(&out, "%x.%x.", b&0xf, b>>4)
		}
	}
	if a.Is4() {
		return out.String() + "in-addr.arpa"
	}
	return out.String() + "ip6.arpa"
}

func dnsRowID(part uint32) string { return fmt.Sprintf("services/%02d", part) }

func dnsRow(part uint32) fact.Ref { return fact.RefTo(nb.DNSTable, dnsRowID(part)) }

func dnsPartOf(s *model.Service) uint32 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(s.Namespace + "/" + s.Name)) // never fails
	return sum.Sum32() % dnsParts
}

// dnsRows are the rows for the names of Services; they come with the default Vpc.
func (c Config) dnsRows(r *Result, vpc *model.Vpc) {
	if c.DNSDomain == "" || vpc.Name != c.ClusterRouter {
		return
	}
	for part := range uint32(dnsParts) {
		r.Row(nb.DNSTable, dnsRowID(part), &nb.DNS{ExternalIDs: map[string]string{"part": dnsRowID(part)}})
	}
}

// priorityNames: of the rules of the last tier the first one.
const priorityNames = 1

// knowNames has a subnet's switch answer queries for names of Services. Most are sent to
// the address of a Service, so that OVN has translated a query before it answers it, and has to translate the
// answer back. OVS's userspace datapath does not translate a packet twice in one zone of
// connection tracking (handle_nat of lib/conntrack.c), unless it is committed in between. OVN
// commits the first packet of a connection, and by an ACL with a label every one
// (ls_in_acl_eval: reg0[1] = 1): the second query that a client sends from one port, such as that of a resolver for
// the other family, would not be answered. As the last rule of the last tier but one
// this one decides nothing else, and it has the label of that one, see readmit.
func (c Config) knowNames(r *Result, s *model.Subnet) {
	if c.DNSDomain == "" || s.Vpc != c.ClusterRouter || !c.balanced(s) {
		return
	}
	for part := range uint32(dnsParts) {
		r.Member(logicalSwitch(s.Name), "dns_records", dnsRow(part).UUID)
	}
	r.Child(logicalSwitch(s.Name), nb.ACLTable, s.Name+"/names", &nb.ACL{
		Direction: nb.ACLDirectionFromLport, Action: nb.ACLActionAllowRelated, Match: fmt.Sprintf("udp.dst == %d", dnsPort),
		Tier: tierLast, Priority: priorityNames, Label: labelKnownSession, ExternalIDs: map[string]string{"subnet": s.Name},
	})
}

// keepAsking: OVN looks at names after it has balanced, and what it rejects for lack of a backend it
// never looks at. While the cluster's DNS has no endpoint, its queries go on, to
// an address that no router forwards anything to.
func (c Config) keepAsking(protocol model.Protocol, vips map[string]string) {
	if c.DNSDomain == "" || protocol != model.UDP {
		return
	}
	for vip, backends := range vips {
		at, err := netip.ParseAddrPort(vip)
		if err != nil || backends != "" || at.Port() != dnsPort {
			continue
		}
		nowhere := netip.IPv6Loopback()
		if at.Addr().Is4() {
			nowhere = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		vips[vip] = netip.AddrPortFrom(nowhere, dnsPort).String()
	}
}
