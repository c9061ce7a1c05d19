package compile

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// A host reaches Services through its ovn0, where the load balancers of the nodes'
// switch choose a backend. That may be the host itself, another host, or the API
// server, which OVN reaches through the host again; and each answer has to pass the
// switch, where the choice is undone. With an address of the host as its source such
// a packet would come back to the kernel as one that it sent itself, or be answered by
// another way. So hosts take an address towards Services that nobody has: the kernel
// translates to it, and OVN leads what is sent to it back to ovn0.

// DefaultServiceSource is used for nothing else on most networks: link-local
// addresses that cloud providers' metadata services and caches of DNS leave free.
var DefaultServiceSource = model.Prefixes{V4: netip.MustParsePrefix("169.254.64.0/18"), V6: netip.MustParsePrefix("fd69:254:64::/112")}

// serviceSource gives the addresses of a node: those in Config.ServiceSource that
// stand where its addresses stand in the nodes' subnet.
func (c Config) serviceSource(r *Result, join model.SubnetNetwork, ip *model.IP) (out model.Addrs) {
	if !c.LoadBalancers {
		return out
	}
	place := func(in, of netip.Prefix, addr netip.Addr) netip.Addr {
		if !in.IsValid() || !of.IsValid() || !addr.IsValid() {
			return netip.Addr{}
		}
		source, ok := model.Transpose(in, of, addr)
		if !ok {
			r.problem(model.ReasonServiceSourceExhausted, "", "address %s of the node has no counterpart in %s, which is too small for the nodes' subnet %s: the host does not reach Services", addr, in, of)
		}
		return source
	}
	out.V4 = place(c.ServiceSource.V4, join.CIDR.V4, ip.Addrs.V4)
	out.V6 = place(c.ServiceSource.V6, join.CIDR.V6, ip.Addrs.V6)
	return out
}

// sourceText writes addresses with the length of the prefix that those of all nodes are in.
func (c Config) sourceText(source model.Addrs) string {
	var texts []string
	for _, a := range model.Families(source) {
		in := c.ServiceSource.V4
		if a.Is6() {
			in = c.ServiceSource.V6
		}
		texts = append(texts, netip.PrefixFrom(a, in.Bits()).String())
	}
	return strings.Join(texts, ",")
}

// hostsLeave: what hosts send to a Service whose backend is outside of OVN leaves
// by the host that sent it, as what pods of distributed subnets send.
func (c Config) hostsLeave(r *Result, join *model.Subnet, ip string) {
	for _, prefix := range c.hostSources() {
		if family(prefix.Addr()) == ip {
			r.Member(fact.RefTo(nb.AddressSetTable, distributedSet(join.Vpc, ip)), "addresses", prefix.String())
			c.passTwice(r, join, ip, prefix)
		}
	}
}

// passTwice: what a host sends to a Service whose backend it reaches by itself goes
// through the host's port twice, and so does the answer: in with the address of the
// Service and out with that of the backend. Connection tracking knows both as one
// connection of that port only if it sees just the way in, and of answers just the
// way out, where the address of the Service is put back.
func (c Config) passTwice(r *Result, join *model.Subnet, ip string, sources netip.Prefix) {
	rule(r, join, "hosts/out/"+ip, &nb.ACL{
		Direction: nb.ACLDirectionToLport, Priority: priorityNodes, Action: nb.ACLActionAllowStateless,
		Match: fmt.Sprintf("%s.src == %s", ip, sources),
	})
	rule(r, join, "hosts/in/"+ip, &nb.ACL{
		Direction: nb.ACLDirectionFromLport, Priority: priorityNodes, Action: nb.ACLActionAllowStateless,
		Match: fmt.Sprintf("%s.dst == %s", ip, sources),
	})
}

// hairpin gives the addresses under which a pod sees what it sends to itself through
// a Service (ovn-nb(5), Load_Balancer, options:hairpin_snat_ip), so that policies can
// tell it from others: the first of [Config].ServiceSource, which no node has.
func (c Config) hairpin() string {
	var texts []string
	for _, prefix := range model.PrefixFamilies(c.ServiceSource) {
		texts = append(texts, prefix.Addr().String())
	}
	return strings.Join(texts, " ")
}

// hostVariable names what each chassis replaces by the address that its host asks pods
// from (ovn-nb(5), Chassis_Template_Var).
func hostVariable(ip string) string { return fact.TemplatePrefix + "host_" + ip }

// variables are what rules call this host by: by the addresses that it asks pods from.
// Not by those towards Services, behind which it also leads on what comes from outside and from pods of subnets without load balancers.
func (c Config) variables(r *Result, node *model.Node, ip *model.IP) {
	if node.Chassis == "" {
		return
	}
	chassis := r.Row(nb.ChassisTemplateVarTable, node.Chassis, &nb.ChassisTemplateVar{
		Chassis: node.Chassis, ExternalIDs: map[string]string{"node": node.Name},
	})
	for _, f := range []string{"ip4", "ip6"} {
		var texts []string
		for _, a := range model.Families(ip.Addrs) {
			if family(a) == f {
				texts = append(texts, a.String())
			}
		}
		if len(texts) > 0 {
			r.Pair(chassis, "variables", hostVariable(f), strings.Join(texts, ", "))
		}
	}
}

// hostSources are the prefixes of the addresses that hosts take towards Services.
func (c Config) hostSources() []netip.Prefix {
	if !c.LoadBalancers {
		return nil
	}
	return model.PrefixFamilies(c.ServiceSource)
}
