// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// A host reaches Services through its ovn0: the load balancers of the nodes' switch choose a backend, which may be the
// host itself, another host, or the API server, which OVN reaches through the host again. Each reply must pass the
// switch, which translates it back. If the source were an address of the host, the kernel would receive a packet with
// its own source address, or the reply would take another path. So each host has a source address for Services that no
// interface has: the kernel translates to it, and OVN routes packets to it to ovn0.

// DefaultServiceSource is unused on most networks: link-local addresses that cloud providers' metadata services and
// node-local DNS caches leave free.
var DefaultServiceSource = model.Prefixes{V4: netip.MustParsePrefix("169.254.64.0/18"), V6: netip.MustParsePrefix("fd69:254:64::/112")}

// serviceSource returns a node's source addresses for Services: those in Config.ServiceSource at the same offset as the
// node's addresses have in the nodes' subnet.
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
			r.problem(model.ReasonServiceSourceExhausted, "", "address %s of the node has no counterpart in %s, which is too small for the nodes' subnet %s: the host cannot reach Services", addr, in, of)
		}
		return source
	}
	out.V4 = place(c.ServiceSource.V4, join.CIDR.V4, ip.Addrs.V4)
	out.V6 = place(c.ServiceSource.V6, join.CIDR.V6, ip.Addrs.V6)
	return out
}

// sourceText formats addresses with the prefix length of Config.ServiceSource.
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

// routeHosts routes a host's traffic to Service backends outside of OVN out through the same host, as egress traffic of
// distributed subnets.
func (c Config) routeHosts(r *Result, join *model.Subnet, ip string) {
	for _, prefix := range c.hostSources() {
		if family(prefix.Addr()) == ip {
			r.Member(fact.RefTo(nb.AddressSetTable, distributedSet(join.Vpc, ip)), "addresses", prefix.String())
			c.untrackSecondPass(r, join, ip, prefix)
		}
	}
}

// untrackSecondPass exempts from conntrack the second pass of host traffic. A packet from a host to a Service whose
// backend the host reaches by itself passes the host's port twice: in with the Service's address and out with the
// backend's. So do replies. Conntrack treats both as one connection of that port only if it sees only the first pass of
// requests and the last pass of replies, where the Service's address is restored.
func (c Config) untrackSecondPass(r *Result, join *model.Subnet, ip string, sources netip.Prefix) {
	rule(r, join, "hosts/out/"+ip, &nb.ACL{
		Direction: nb.ACLDirectionToLport, Priority: priorityNodes, Action: nb.ACLActionAllowStateless,
		Match: fmt.Sprintf("%s.src == %s", ip, sources),
	})
	rule(r, join, "hosts/in/"+ip, &nb.ACL{
		Direction: nb.ACLDirectionFromLport, Priority: priorityNodes, Action: nb.ACLActionAllowStateless,
		Match: fmt.Sprintf("%s.dst == %s", ip, sources),
	})
}

// hairpin is the source address with which a pod sees its own connections to itself through a Service (ovn-nb(5),
// Load_Balancer options:hairpin_snat_ip): the first address of [Config].ServiceSource, which no node has, so that
// policies can match it.
func (c Config) hairpin() string {
	var texts []string
	for _, prefix := range model.PrefixFamilies(c.ServiceSource) {
		texts = append(texts, prefix.Addr().String())
	}
	return strings.Join(texts, " ")
}

// hostVariable is the name of the template variable for the address from which a chassis's host connects to pods
// (ovn-nb(5), Chassis_Template_Var).
func hostVariable(ip string) string { return fact.TemplatePrefix + "host_" + ip }

// variables declares the template variables with the host's addresses, which policy rules use for "this node": the
// addresses from which the host connects to pods. Its source addresses for Services are excluded, because the host also
// masquerades behind them traffic from outside and from pods of subnets without load balancers.
func (c Config) variables(r *Result, v *world.View, node *model.Node, ip *model.IP) {
	has, problem := chassis(v, node)
	if problem != nil {
		r.Problems = append(r.Problems, *problem)
	}
	if !has {
		return
	}
	row := r.Row(nb.ChassisTemplateVarTable, node.Chassis, &nb.ChassisTemplateVar{
		Chassis: node.Chassis, ExternalIDs: map[string]string{"node": node.Name},
	})
	for _, f := range model.IPFamilies() {
		var texts []string
		for _, a := range model.Families(ip.Addrs) {
			if model.FamilyOf(a) == f {
				texts = append(texts, a.String())
			}
		}
		if len(texts) > 0 {
			r.Pair(row, "variables", hostVariable(f.Match()), strings.Join(texts, ", "))
		}
	}
}

// chassis reports whether a node has the chassis that it names; the problem names the Node that has it instead.
func chassis(v *world.View, node *model.Node) (bool, *model.Problem) {
	if node.Chassis == "" {
		return false, nil
	}
	return model.HoldsChassis(node, v.NodesOfChassis(node.Chassis))
}

// hostSources are the prefixes of the hosts' source addresses for Services.
func (c Config) hostSources() []netip.Prefix {
	if !c.LoadBalancers {
		return nil
	}
	return model.PrefixFamilies(c.ServiceSource)
}
