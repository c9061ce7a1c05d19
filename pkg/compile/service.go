// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// service declares one load balancer for each protocol of a Service, in the group of its Vpc. All addresses and ports
// are in one column that only the Service owns: an event of it or of its endpoints is one operation on one row.
func (c Config) service(ref model.Ref, v *world.View) (r Result) {
	s, ok := v.Service(ref.Namespace, ref.Name)
	if !ok {
		return r
	}
	c.names(&r, v, s)
	if s.ClusterIPs == (model.Addrs{}) {
		return r
	}
	s, endpoints, problems := c.Limits.Service(s, v.EndpointSlicesOfService(s.Namespace, s.Name))
	r.Problems = append(r.Problems, problems...)
	vpc, endpoints := c.serviceVpc(&r, v, s, endpoints)
	if s.Vpc != vpc {
		r.want(Annotate{Object: ref, UID: s.UID, Annotations: map[string]string{annotations.Vpc: vpc}})
	}
	c.fromOutside(&r, v, s, vpc, endpoints)
	s, taken := c.withoutConflicts(&r, v, s, vpc)
	for _, protocol := range []model.Protocol{model.TCP, model.UDP, model.SCTP} {
		vips := vipsOf(s, protocol, endpoints)
		for _, at := range taken[protocol] {
			delete(vips, at.String())
		}
		c.placeholderBackend(protocol, vips)
		for _, row := range c.onEachNode(&r, v, s, protocol, vips, endpoints) {
			c.balance(&r, vpc, s, row)
		}
		if len(vips) > 0 {
			of := string(protocol)
			c.balance(&r, vpc, s, &nb.LoadBalancer{Name: balancerName(s, protocol), Protocol: &of, Vips: vips})
		}
	}
	return r
}

// fromOutside reports what does not work for clients that connect through a node.
func (c Config) fromOutside(r *Result, v *world.View, s *model.Service, vpc string, endpoints []*model.EndpointSlice) {
	switch {
	case !s.Any():
	case vpc != c.ClusterRouter:
		r.problem(model.ReasonNotReachedFromOutside, "", "the Service is in Vpc %s: pods of that Vpc can reach it, but clients outside cannot (no node ports)", vpc)
	case s.External.Local:
		c.sourceIsLost(r, v, endpoints)
	}
}

// sourceIsLost reports backends for which externalTrafficPolicy Local cannot keep the client's address: replies of a
// pod in a centralized subnet leave through a gateway node, and bypass the node that must restore the Service's
// address.
func (c Config) sourceIsLost(r *Result, v *world.View, endpoints []*model.EndpointSlice) {
	for _, subnet := range v.SubnetsOfVpc(c.ClusterRouter) {
		if subnet.GatewayType != model.GatewayCentralized || subnet.Name == c.NodeSwitch {
			continue
		}
		for _, e := range endpoints {
			if i := slices.IndexFunc(e.Ready, func(a netip.Addr) bool { return within(subnet.CIDR, a) }); i >= 0 {
				r.problem(model.ReasonSourceNotKept, "spec.externalTrafficPolicy", "backend %s is in the centralized Subnet %s: it sees its node's address instead of the client's, unless that node is the gateway of the subnet", e.Ready[i], subnet.Name)
				return
			}
		}
	}
}

func within(cidr model.Prefixes, a netip.Addr) bool {
	return cidr.V4.IsValid() && cidr.V4.Contains(a) || cidr.V6.IsValid() && cidr.V6.Contains(a)
}

func balancerName(s *model.Service, protocol model.Protocol) string {
	return "service/" + s.Namespace + "/" + s.Name + "/" + string(protocol)
}

// onEachNode implements internalTrafficPolicy Local: the ClusterIPs have only the backends on the client's node. That
// needs rows of their own, in which each chassis inserts its own list (ovn-nb(5), Chassis_Template_Var). A chassis
// without a list ignores the row, and its node drops the packets. The addresses are removed from vips.
func (c Config) onEachNode(r *Result, v *world.View, s *model.Service, protocol model.Protocol, vips map[string]string, endpoints []*model.EndpointSlice) (rows []*nb.LoadBalancer) {
	if !s.InternalLocal {
		return nil
	}
	of, nodes := string(protocol), nodesOf(endpoints)
	for _, address := range model.Families(s.ClusterIPs) {
		row := &nb.LoadBalancer{
			Name: balancerName(s, protocol) + "/" + family(address), Protocol: &of, Vips: map[string]string{},
			Options: map[string]string{"template": "true", "address-family": map[bool]string{true: "ipv4", false: "ipv6"}[address.Is4()]},
		}
		for _, port := range s.Ports {
			at := netip.AddrPortFrom(address, port.Port)
			if port.Protocol != protocol || vips[at.String()] == "" {
				continue // no endpoints at all: rejected, as without the policy
			}
			delete(vips, at.String())
			key, local := localVip(s, protocol, at)
			row.Vips[key] = "^" + local.backends
			for _, name := range nodes {
				node, known := v.Node(name)
				if !known {
					continue
				}
				if has, _ := chassis(v, node); has { // the Node reports the problem
					local.on(r, node.Chassis, joined(model.Backends(port, address, endpoints, name)))
				}
			}
		}
		if len(row.Vips) > 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

// local has the template variables of one port of a Service.
type local struct {
	at            netip.AddrPort
	backends, vip string // vip is empty if the address needs no variable
}

// localVip returns the key in Load_Balancer.vips and the variables that each chassis expands in it. OVN 25.03 splits an
// IPv6 address there at its colons, so the address must be a variable, too (lib/lb.c, ovn_lb_vip_init_template). Names
// of variables consist of letters, digits and underscores.
func localVip(s *model.Service, protocol model.Protocol, at netip.AddrPort) (string, local) {
	sum := sha256.Sum256([]byte(s.Namespace + "/" + s.Name + "/" + string(protocol) + "/" + at.String()))
	id := hex.EncodeToString(sum[:12])
	l := local{at: at, backends: fact.TemplatePrefix + "local_" + id}
	if at.Addr().Is4() {
		return at.String(), l
	}
	l.vip = fact.TemplatePrefix + "vip_" + id
	return "^" + l.vip + ":" + strconv.Itoa(int(at.Port())), l
}

// on sets the list of backends of a chassis, if it has any.
func (l local) on(r *Result, chassis, backends string) {
	if backends == "" {
		return
	}
	row := fact.RefTo(nb.ChassisTemplateVarTable, chassis)
	r.Pair(row, "variables", l.backends, backends)
	if l.vip != "" {
		r.Pair(row, "variables", l.vip, l.at.Addr().String())
	}
}

// nodesOf returns the nodes on which a Service has endpoints, sorted.
func nodesOf(endpoints []*model.EndpointSlice) (names []string) {
	for _, e := range endpoints {
		for _, node := range e.Nodes {
			names = append(names, node)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// balance completes a row of the Service and adds it to its group.
func (c Config) balance(r *Result, vpc string, s *model.Service, row *nb.LoadBalancer) {
	if row.Options == nil {
		row.Options = map[string]string{}
	}
	// Connections to a Service without endpoints are rejected at once.
	row.Options["reject"], row.Options["hairpin_snat_ip"] = "true", c.hairpin()
	row.ExternalIDs = map[string]string{"service": s.Namespace + "/" + s.Name}
	if *row.Protocol == string(model.UDP) {
		// A UDP client that never stops sending keeps its conntrack entry forever, also one for a removed backend.
		row.Options["ct_flush"] = "true"
	}
	sessionAffinity(row, s)
	lb := r.Row(nb.LoadBalancerTable, row.Name, row)
	r.Member(fact.RefTo(nb.LoadBalancerGroupTable, loadBalancerGroup(vpc)), "load_balancer", lb.UUID)
}

// vipsOf returns the column Load_Balancer.vips: backends by virtual address and port; none for an address that is to be
// rejected.
func vipsOf(s *model.Service, protocol model.Protocol, endpoints []*model.EndpointSlice) map[string]string {
	var vips map[string]string
	for _, port := range s.Ports {
		if port.Protocol != protocol {
			continue
		}
		for _, address := range addressesOf(s) {
			if vips == nil {
				vips = map[string]string{}
			}
			vips[netip.AddrPortFrom(address, port.Port).String()] = joined(model.Backends(port, address, endpoints, ""))
		}
	}
	return vips
}

// addressesOf returns all addresses at which pods reach a Service. Pods connect to load balancer addresses in OVN, not
// through nodes, unless sources are restricted: the node through which a packet leaves checks these (see package
// hostplan).
func addressesOf(s *model.Service) []netip.Addr {
	out := model.Families(s.ClusterIPs)
	add := func(list []netip.Addr) {
		for _, a := range list {
			if sameFamily(s.ClusterIPs, a).IsValid() && !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	add(s.External.IPs)
	add(slices.DeleteFunc(slices.Clone(s.External.Ingress), func(a netip.Addr) bool { return s.External.Guarded(a.Is4()) }))
	return out
}

// joined formats backends as a value of the column Load_Balancer.vips.
func joined(backends []netip.AddrPort) string {
	var out strings.Builder
	for i, b := range backends {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(b.String())
	}
	return out.String()
}
