package compile

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// service: a Service is one load balancer for each of its protocols, in the group
// of the default Vpc. All its addresses and ports are one column, which the Service
// alone owns: an event of it or of its endpoints is one operation on one row.
func (c Config) service(ref model.Ref, v *world.View) (r Result) {
	s, ok := v.Service(ref.Namespace, ref.Name)
	if !ok || s.ClusterIPs == (model.Addrs{}) {
		return r
	}
	endpoints := v.EndpointSlicesOfService(s.Namespace, s.Name)
	for _, protocol := range []model.Protocol{model.TCP, model.UDP, model.SCTP} {
		if vips := vipsOf(s, protocol, endpoints); len(vips) > 0 {
			c.balance(&r, c.ClusterRouter, s, protocol, vips)
		}
	}
	return r
}

func (c Config) balance(r *Result, vpc string, s *model.Service, protocol model.Protocol, vips map[string]string) {
	of := string(protocol)
	name := "service/" + s.Namespace + "/" + s.Name + "/" + of
	row := &nb.LoadBalancer{
		Name: name, Protocol: &of, Vips: vips,
		// Who asks for a Service without endpoints is told so at once.
		Options:     map[string]string{"reject": "true", "hairpin_snat_ip": c.hairpin()},
		ExternalIDs: map[string]string{"service": s.Namespace + "/" + s.Name},
	}
	if protocol == model.UDP {
		// A client that never stops sending keeps its connection for ever, also one
		// to a backend that is gone.
		row.Options["ct_flush"] = "true"
	}
	if s.Affinity {
		// Not by affinity_timeout: with it, ovn-northd 25.03 drops the first packet of each new client in order to
		// learn from it ("commit_lb_aff(…); /* drop */" in ls_in_lb_aff_learn), and each repetition of that packet,
		// because by then connection tracking has translated it: the client's first connection never comes about. See
		// https://github.com/ovn-kubernetes/ovn-kubernetes/pull/4066.
		row.SelectionFields = []string{nb.LoadBalancerSelectionFieldsIPSrc, nb.LoadBalancerSelectionFieldsIpv6Src}
	}
	lb := r.Row(nb.LoadBalancerTable, name, row)
	r.Member(fact.RefTo(nb.LoadBalancerGroupTable, loadBalancerGroup(vpc)), "load_balancer", lb.UUID)
}

// vipsOf gives the column Load_Balancer.vips: backends by virtual address and
// port, none for an address that is to be rejected.
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
			vips[netip.AddrPortFrom(address, port.Port).String()] = backendsOf(port, address, endpoints)
		}
	}
	return vips
}

// addressesOf are all at which pods reach a Service. Pods do not ask the nodes for
// the addresses of a load balancer, unless that is not for everybody: who may ask
// is looked at by the node that a packet leaves through (see package hostplan).
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

// backendsOf lists the endpoints of one port and family.
func backendsOf(port model.ServicePort, like netip.Addr, endpoints []*model.EndpointSlice) string {
	var out strings.Builder
	for i, b := range model.Backends(port, like, endpoints, "") {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(b.String())
	}
	return out.String()
}
