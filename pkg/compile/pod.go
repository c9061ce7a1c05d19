// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// pod: each NIC of a pod has a recorded address and a port on the switch of its subnet. A pod that no longer exists,
// has completed or uses the host's network has neither; [Config.gone] handles its records.
func (c Config) pod(ref model.Ref, v *world.View) (r Result) {
	records := v.IPsOfPod(ref.Namespace, ref.Name)
	pod, ok := v.Pod(ref.Namespace, ref.Name)
	if !ok || pod.Completed || pod.HostNetwork {
		c.gone(&r, v, records, ok && pod.HostNetwork)
		return r
	}
	if pod.Node == "" {
		return r // the record names the node: an address is allocated when the pod is scheduled
	}
	if pod.VM != "" && !firstOfVM(&r, v, pod) {
		return r
	}
	missing := map[string]string{}
	for i := range pod.NICs {
		maps.Copy(missing, c.nic(&r, v, pod, &pod.NICs[i]))
	}
	if len(missing) > 0 {
		r.want(Annotate{
			Object: model.Ref{Kind: model.KindPod, Namespace: pod.Namespace, Name: pod.Name},
			UID:    pod.UID, Annotations: missing,
		})
	}
	return r
}

// nic returns the annotations of a NIC that are missing on the pod.
func (c Config) nic(r *Result, v *world.View, pod *model.Pod, nic *model.PodNIC) (missing map[string]string) {
	name := pod.PortName(nic.Provider)
	ip, recorded := v.IP(name)
	if !recorded {
		c.record(r, v, pod, nic, name)
		return nil
	}
	if !c.usable(r, v, pod, nic, ip) {
		return nil
	}
	adopt(r, ip, pod.Node, len(nic.Written) == 0)
	subnet, ok := v.SubnetNetwork(ip.Subnet)
	if !ok || !ip.Complete() {
		return nil
	}
	c.port(r, v, pod, nic, ip, subnet)
	c.north(r, v, pod, nic, ip, subnet)
	if nic.Invalid {
		return nil
	}
	updateRecord(r, pod, ip)
	if want := model.PodAnnotations(*pod, *nic, *ip, subnet); !includes(nic.Written, want) {
		return want
	}
	return nil
}

// record requests a record for a NIC that has none.
func (c Config) record(r *Result, v *world.View, pod *model.Pod, nic *model.PodNIC, name string) {
	kept, ok := v.Kept(ipRef(name))
	if ok && kept.Subnet == c.NodeSwitch {
		kept, ok = nil, false
	}
	if ok {
		c.unrecorded(r, v, pod, nic, kept)
	}
	if ok || !nic.Invalid {
		c.claim(r, v, pod, nic, name, kept)
	}
}

// usable reports whether a pod can have the address of its record. It releases a record that is left over from another
// request.
func (c Config) usable(r *Result, v *world.View, pod *model.Pod, nic *model.PodNIC, ip *model.IP) bool {
	if c.unusable(r, v, pod, ip) {
		return false
	}
	changed := !nic.Invalid && (outdated(ip, pod, nic) || !c.inherits(v, pod, nic, ip))
	switch {
	case c.evicted(r, v, pod, nic, ip), changed && (!ip.Reserved || ip.Deleting):
		r.want(Release{IP: ip.Name, UID: ip.UID})
		return false
	case changed:
		r.problem(model.ReasonAddressConflict, "", "IP %s reserves %s in Subnet %s for pod %s/%s, which requests something else; change one of them",
			ip.Name, model.AddrsText(ip.Addrs), ip.Subnet, pod.Namespace, pod.Name)
		return false
	}
	return true
}

// unusable reports whether a pod cannot have the address of its record. The problem gives the cause.
func (c Config) unusable(r *Result, v *world.View, pod *model.Pod, ip *model.IP) bool {
	if ip.Subnet == c.NodeSwitch {
		r.Problems = append(r.Problems, model.NodeSubnetProblem("", ip.Subnet))
		return true
	}
	if ip.PodName != pod.RecordName() || ip.Namespace != pod.Namespace || pod.VM == "" && ofVM(ip) {
		r.problem(model.ReasonAddressConflict, "", "IP %s is recorded for %s/%s, not for pod %s/%s", ip.Name, ip.Namespace, ip.PodName, pod.Namespace, pod.Name)
		return true
	}
	cause := v.Contested(ip.AddressRecord().Owner)
	if cause != "" {
		r.problem(model.ReasonAddressConflict, "", "pod %s/%s cannot have the address of IP %s: %s", pod.Namespace, pod.Name, ip.Name, cause)
	}
	return cause != ""
}

// unrecorded keeps the port of a running pod while its record is written again.
func (c Config) unrecorded(r *Result, v *world.View, pod *model.Pod, nic *model.PodNIC, kept *model.IP) {
	if subnet, ok := v.SubnetNetwork(kept.Subnet); ok && kept.MAC != "" {
		c.port(r, v, pod, nic, kept, subnet)
		c.north(r, v, pod, nic, kept, subnet)
	}
}

// port declares the NIC's port on the switch of its subnet.
func (c Config) port(r *Result, v *world.View, pod *model.Pod, nic *model.PodNIC, ip *model.IP, subnet model.SubnetNetwork) {
	row := &nb.LogicalSwitchPort{
		Name:      ip.Name,
		Addresses: []string{portAddresses(ip)},
		// A recreated pod of the same name can never bind to its predecessor's port.
		Options:     map[string]string{"iface-id-ver": pod.UID},
		ExternalIDs: map[string]string{fact.SwitchKey: subnet.Name, "pod": pod.Namespace + "/" + pod.Name},
	}
	if ip.Addrs.V4.IsValid() {
		row.Dhcpv4Options = portDHCP(r, v, subnet, nic, ip.Name, model.IPv4)
	}
	if ip.Addrs.V6.IsValid() {
		row.Dhcpv6Options = portDHCP(r, v, subnet, nic, ip.Name, model.IPv6)
	}
	c.secure(r, v, securedPort{pod: pod, nic: nic, ip: ip, subnet: subnet, row: row})
	joinGroups(r, v, pod, nic, r.Child(logicalSwitch(subnet.Name), nb.LogicalSwitchPortTable, ip.Name, row))
}

// north routes the egress traffic of a pod to a next hop of its own, with precedence over the gateways of its subnet.
// Only the default Vpc has gateways.
func (c Config) north(r *Result, v *world.View, pod *model.Pod, nic *model.PodNIC, ip *model.IP, subnet model.SubnetNetwork) {
	if nic.Provider != model.DefaultProvider || pod.NorthGateway == (model.Addrs{}) {
		return
	}
	field := model.AnnotationField(annotations.NorthGateway)
	if subnet.Vpc != c.ClusterRouter {
		r.problem(model.ReasonNotSupported, field, "pod %s/%s is in Vpc %s: a north gateway works only in %s", pod.Namespace, pod.Name, subnet.Vpc, c.ClusterRouter)
		return
	}
	for _, addr := range model.Families(ip.Addrs) {
		nexthop := sameFamily(pod.NorthGateway, addr)
		if !nexthop.IsValid() {
			continue
		}
		if !onRouter(v, subnet.Vpc, nexthop) {
			r.problem(model.ReasonNorthGatewayUnreachable, field, "pod %s/%s: %s is in no Subnet of Vpc %s, so the router has no route to it; the pod's egress traffic uses the gateway of its subnet",
				pod.Namespace, pod.Name, nexthop, subnet.Vpc)
			continue
		}
		f := family(addr)
		r.Child(router(subnet.Vpc), nb.LogicalRouterPolicyTable, "north/"+ip.Name+"/"+f, &nb.LogicalRouterPolicy{
			Priority:    priorityNorth,
			Match:       fmt.Sprintf("%s.src == %s", f, addr),
			Action:      nb.LogicalRouterPolicyActionReroute,
			Nexthops:    []string{nexthop.String()},
			ExternalIDs: map[string]string{"subnet": subnet.Name},
		})
	}
}

// onRouter reports whether an address is in a network that the router of a Vpc is connected to.
func onRouter(v *world.View, vpc string, addr netip.Addr) bool {
	for _, s := range v.SubnetsOfVpc(vpc) {
		for _, cidr := range model.PrefixFamilies(s.CIDR) {
			if cidr.Contains(addr) {
				return true
			}
		}
	}
	return false
}

// adopt completes a record that a user created before the pod existed, or that an older controller left without labels.
func adopt(r *Result, ip *model.IP, node string, reserved bool) {
	if !ip.Complete() || !ip.Labelled {
		r.want(Adopt{IP: ip.Name, UID: ip.UID, NodeName: node, Reserved: reserved})
	}
}

// outdated reports whether a record left over from an earlier pod of the same name cannot serve this pod: it is being
// deleted, or it differs from what the pod requests. A pod keeps an address that it already has, even if its record is
// being deleted.
func outdated(ip *model.IP, pod *model.Pod, nic *model.PodNIC) bool {
	if len(nic.Written) > 0 {
		return false
	}
	return ip.Deleting ||
		nic.Subnet != "" && nic.Subnet != ip.Subnet ||
		nic.IPs.V4.IsValid() && nic.IPs.V4 != ip.Addrs.V4 ||
		nic.IPs.V6.IsValid() && nic.IPs.V6 != ip.Addrs.V6 ||
		nic.MAC != "" && nic.MAC != ip.MAC ||
		!listed(ip, pod, nic)
}

func (c Config) claim(r *Result, v *world.View, pod *model.Pod, nic *model.PodNIC, name string, kept *model.IP) {
	podType, ownerUID := pod.AddressOwner()
	request, previous := requestOf(nic, name, kept)
	candidates := []candidate{{subnet: previous}}
	if previous == "" {
		var problem *model.Problem
		var ok bool
		candidates, problem, ok = c.candidates(v, pod.Namespace, nic)
		if problem != nil {
			r.Problems = append(r.Problems, *problem)
		}
		if !ok {
			return
		}
	}
	if previous == "" && len(nic.List) > 0 && nic.IPs == (model.Addrs{}) {
		list, ok := share(r, pod, nic)
		if !ok {
			return
		}
		request.Candidates = list
	}
	subnets, pools := names(candidates)
	var missing []string
	for _, s := range subnets {
		if _, ok := v.SubnetNetwork(s); !ok {
			missing = append(missing, s)
		}
	}
	if len(missing) == len(subnets) {
		r.problem(model.ReasonSubnetNotFound, "", "pod %s/%s waits for an address: there is no Subnet %s", pod.Namespace, pod.Name, strings.Join(missing, ", "))
		return
	}
	r.want(Claim{
		Subnets: subnets, Pools: pools, Provider: nic.Provider, NodeName: pod.Node, PodType: podType, OwnerUID: ownerUID,
		For:     model.Ref{Kind: model.KindPod, Namespace: pod.Namespace, Name: pod.Name},
		PodName: pod.RecordName(),
		Request: request,
	})
}

// subnets returns the subnets from which a NIC of a pod in this namespace may get its address, see
// [model.ChooseSubnets]; ok is false if the namespace does not exist.
func (c Config) subnets(v *world.View, of string, nic *model.PodNIC) (names []string, ok bool) {
	chosen, ok := v.LogicalSwitches(of)
	if !ok {
		return nil, false
	}
	return c.choose(v, of, nic, chosen), true
}

// choose is [Config.subnets] for a namespace for which a user chose these subnets.
func (c Config) choose(v *world.View, of string, nic *model.PodNIC, chosen []string) []string {
	var bound []string
	for _, s := range v.SubnetsOfNamespace(of) {
		if s.Provider == nic.Provider.Network() {
			bound = append(bound, s.Name)
		}
	}
	vpcDefault := ""
	for _, vpc := range v.VpcsOfNamespace(of) {
		vpcDefault = vpc.DefaultSubnet
	}
	return model.ChooseSubnets(*nic, chosen, bound, vpcDefault, c.DefaultSubnet)
}

// requestOf returns what a NIC requests. A running pod that lost its record requests the addresses that are kept for
// it, in their subnet.
func requestOf(nic *model.PodNIC, name string, kept *model.IP) (request ipam.Request, subnet string) {
	request = ipam.Request{Owner: ipRef(name), IPs: nic.IPs, MAC: nic.MAC, Family: nic.Family}
	if kept == nil {
		return request, ""
	}
	request.IPs, request.MAC = kept.Addrs, kept.MAC
	switch {
	case !kept.Addrs.V6.IsValid():
		request.Family = model.IPv4
	case !kept.Addrs.V4.IsValid():
		request.Family = model.IPv6
	}
	return request, kept.Subnet
}
