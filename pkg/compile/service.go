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
		for _, address := range model.Families(s.ClusterIPs) {
			if vips == nil {
				vips = map[string]string{}
			}
			vips[netip.AddrPortFrom(address, port.Port).String()] = backendsOf(port, address, endpoints)
		}
	}
	return vips
}

// backendsOf lists the endpoints of one port and family. When none is ready, those
// that still serve while they terminate take over (KEP-1669, as kube-proxy does).
func backendsOf(port model.ServicePort, like netip.Addr, endpoints []*model.EndpointSlice) string {
	backends := collect(port, like, endpoints, func(e *model.EndpointSlice) []netip.Addr { return e.Ready })
	if len(backends) == 0 {
		backends = collect(port, like, endpoints, func(e *model.EndpointSlice) []netip.Addr { return e.Draining })
	}
	slices.SortFunc(backends, netip.AddrPort.Compare)
	backends = slices.Compact(backends) // one endpoint may be in two slices for a while
	var out strings.Builder
	for i, b := range backends {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(b.String())
	}
	return out.String()
}

func collect(port model.ServicePort, like netip.Addr, endpoints []*model.EndpointSlice, of func(*model.EndpointSlice) []netip.Addr) (out []netip.AddrPort) {
	for _, e := range endpoints {
		for _, p := range e.Ports {
			if p.Name != port.Name || p.Protocol != port.Protocol {
				continue
			}
			for _, a := range of(e) {
				if a.Is4() == like.Is4() {
					out = append(out, netip.AddrPortFrom(a, p.Port))
				}
			}
		}
	}
	return out
}
