// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// dnsParts is the number of rows of table DNS for the records of all Services. One row for each Service would be slow:
// ovn-controller searches all rows for each query (ovn_dns_lookup). So would a single row: ovn-northd rewrites all
// records of a row when one of them changes.
const dnsParts = 16

// maxHostNames is how many host names of endpoints one Service may have in DNS: the records of many Services share a
// row.
const maxHostNames = 1000

// dnsPort is the port of DNS servers.
const dnsPort = 53

// maxDNSAnswer is the size in octets of a DNS response that every client accepts over UDP (RFC 1035 §4.2.1).
// ovn-controller neither shortens a response nor marks it as truncated.
const maxDNSAnswer = 512

// names declares OVN's responses to DNS queries for the names of a Service and for the reverse names of its addresses
// (ovn-nb(5), table DNS). OVN forwards all other queries to the server, also those for the other IP family of a
// single-stack name: with options:ovn-owned it would refuse them, and some resolvers then discard the response for the
// first family.
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
	hostnames := slices.Sorted(maps.Keys(named))
	if c.Limits.ServiceBackends > 0 && len(hostnames) > maxHostNames {
		r.problem(model.ReasonServiceTooLarge, "", "the endpoints of the Service have %d host names: the first %d, in alphabetical order, have a DNS record", len(hostnames), maxHostNames)
		hostnames = hostnames[:maxHostNames]
	}
	for _, hostname := range hostnames {
		record(r, row, hostname+"."+name, named[hostname])
	}
}

// record omits a name whose response would be too large: the DNS server can make the client use TCP.
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

// dnsAnswer is the size in octets of the larger one of the responses for IPv4 and IPv6. ovn-controller writes the whole
// name in each record (RFC 1035 §4.1, without the compression of §4.1.4).
func dnsAnswer(name string, addresses []netip.Addr) int {
	wire := len(name) + 2 // a length octet before each label, and the root
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

// reverseName is the name of the PTR record of an address (RFC 1035 §3.5, RFC 3596 §2.5).
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

// dnsRows declares the rows for the names of Services, with the default Vpc as owner.
func (c Config) dnsRows(r *Result, vpc *model.Vpc) {
	if c.DNSDomain == "" || vpc.Name != c.ClusterRouter {
		return
	}
	for part := range uint32(dnsParts) {
		r.Row(nb.DNSTable, dnsRowID(part), &nb.DNS{ExternalIDs: map[string]string{"part": dnsRowID(part)}})
	}
}

// priorityNames is the lowest priority in its tier.
const priorityNames = 1

// knowNames makes a subnet's switch respond to DNS queries for names of Services. Most queries go to the address of a
// Service, so OVN translates a query before it responds, and must translate the response back. OVS's userspace datapath
// does not translate a packet twice in one conntrack zone (handle_nat in lib/conntrack.c) unless it is committed in
// between. OVN commits the first packet of a connection and, because of an ACL with a label, every packet
// (ls_in_acl_eval: reg0[1] = 1). Without it, the second query that a client sends from one port, such as a resolver's
// query for the other IP family, would get no response. As the last rule of the last tier but one, this rule decides
// nothing else; it has the label of readmit's rule.
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

// placeholderBackend gives the cluster's DNS Service a backend while it has no endpoint. OVN evaluates DNS records
// after load balancing, and does not do so for packets that it rejects for lack of a backend. The backend's address is
// one that no router forwards to.
func (c Config) placeholderBackend(protocol model.Protocol, vips map[string]string) {
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
