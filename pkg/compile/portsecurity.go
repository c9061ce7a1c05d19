// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// Priorities of the ACLs in the first tier that guard sources. Policies of administrators are in the same tier, with
// lower priorities.
const (
	priorityGuardExempt = 32767 // ports that the guard does not apply to
	priorityGuard       = 32766
)

// securedPort is the port of a NIC whose sources are checked.
type securedPort struct {
	pod    *model.Pod
	nic    *model.PodNIC
	ip     *model.IP
	subnet model.SubnetNetwork
	row    *nb.LogicalSwitchPort
}

// secure sets the port security of a port: OVN then drops what the pod sends with another MAC address or IP address, in
// Ethernet, IP, ARP and neighbor discovery (ovn-nb(5), Logical_Switch_Port:port_security). The pod can only widen it as
// far as its Subnet permits.
func (c Config) secure(r *Result, v *world.View, p securedPort) {
	level, request := c.levelOf(p.subnet), p.nic.Security
	if level == model.PortSecurityOn {
		p.refuse(r, request.Port == model.PortSecurityOff, annotations.SuffixPortSecurity)
		p.refuse(r, request.Layer2, annotations.SuffixLayer2Forward)
		request.Port, request.Layer2 = model.PortSecurityOn, false
	}
	if request.Port == model.PortSecurityUnset {
		request.Port = v.PortSecurityOfNamespace(p.pod.Namespace)
	}
	if request.Layer2 {
		p.row.Addresses = append(p.row.Addresses, "unknown")
		request.Port = model.PortSecurityOff
	}
	vips := p.vips(r)
	switch {
	case request.Port == model.PortSecurityOn || request.Port == model.PortSecurityUnset && level != model.PortSecurityOff:
		p.row.PortSecurity = []string{strings.Join(append(p.row.Addresses[:1:1], vips...), " ")}
	case level != model.PortSecurityOff:
		p.exempt(r)
	}
}

// levelOf returns how far the pods of a subnet may widen their port security.
func (c Config) levelOf(subnet model.SubnetNetwork) model.PortSecurity {
	switch {
	case subnet.PortSecurity != model.PortSecurityUnset:
		return subnet.PortSecurity
	case c.PortSecurity:
		return model.PortSecurityOn
	default:
		return model.PortSecurityOff
	}
}

func (p *securedPort) refuse(r *Result, requested bool, suffix string) {
	if requested {
		r.problem(model.ReasonPortSecurityRequired, model.AnnotationField(p.nic.Provider.Key(suffix)),
			"pod %s/%s: Subnet %s requires port security, so the annotation has no effect; an administrator can set the annotation %s of the Subnet to optional",
			p.pod.Namespace, p.pod.Name, p.subnet.Name, annotations.PortSecurity)
	}
}

// vips returns the requested addresses that the Subnet lists.
func (p *securedPort) vips(r *Result) (texts []string) {
	for _, addr := range p.nic.Security.VIPs {
		if !slices.Contains(p.subnet.VIPs, addr) {
			r.problem(model.ReasonPortSecurityRequired, model.AnnotationField(p.nic.Provider.Key(annotations.SuffixPortVIPs)),
				"pod %s/%s: %s is not in spec.vips of Subnet %s, so the pod cannot send with it", p.pod.Namespace, p.pod.Name, addr, p.subnet.Name)
			continue
		}
		texts = append(texts, addr.String())
	}
	return texts
}

// exempt lets an unsecured port of a secured subnet answer DHCP requests.
func (p *securedPort) exempt(r *Result) {
	guard(r, p.subnet.Name, "exempt/"+p.ip.Name, &nb.ACL{
		Priority: priorityGuardExempt, Action: nb.ACLActionPass, Match: "inport == " + strconv.Quote(p.ip.Name) + " && " + dhcpResponse,
	})
}

// dhcpResponse matches what a DHCP server sends (RFC 2131, 4.1; RFC 8415, 7.2).
const dhcpResponse = "udp.src == {67, 547} && udp.dst == {68, 546}"

// guardSources drops what no pod of a subnet may send, by ACLs on its switch, which do not grow with the pods. Where
// port security is on, that is DHCP responses: its addresses would be true, but not its contents. Where ports may be
// unsecured, it is packets with the addresses by which rules recognise the nodes and their hosts; only the router's
// port, through which nodes send, is exempt.
func (c Config) guardSources(r *Result, v *world.View, s *model.Subnet) {
	if s.Name == c.NodeSwitch {
		return
	}
	level := c.levelOf(s.Network())
	if level != model.PortSecurityOff {
		guard(r, s.Name, "dhcp", &nb.ACL{Priority: priorityGuard, Action: nb.ACLActionDrop, Match: dhcpResponse})
	}
	join, ok := v.SubnetNetwork(c.NodeSwitch)
	if level == model.PortSecurityOn || !ok {
		return
	}
	_, port := portNames(v, s)
	guard(r, s.Name, "router", &nb.ACL{Priority: priorityGuardExempt, Action: nb.ACLActionPass, Match: "inport == " + strconv.Quote(port)})
	nodesOf := "" // the addresses of nodes mean something else in other Vpcs
	if s.Vpc == join.Vpc {
		nodesOf = s.Vpc
	}
	trusted := append(model.PrefixFamilies(join.CIDR), c.hostSources()...)
	for _, f := range model.IPFamilies() {
		if sources := sourcesOf(f, trusted, nodesOf); len(sources) > 0 {
			guard(r, s.Name, "sources/"+f.Match(), &nb.ACL{
				Priority: priorityGuard, Action: nb.ACLActionDrop, Match: fmt.Sprintf("%s.src == %s", f.Match(), braced(sources)),
			})
		}
	}
}

// sourcesOf lists the sources of one IP family as in a match; with a Vpc also the addresses of its nodes.
func sourcesOf(f model.Family, prefixes []netip.Prefix, vpc string) (out []string) {
	for _, prefix := range prefixes {
		if model.FamilyOf(prefix.Addr()) == f {
			out = append(out, prefix.String())
		}
	}
	if vpc != "" {
		out = append(out, "$"+nodesSet(vpc, f.Match()))
	}
	return out
}

// guard adds an ACL for what ports send to the first tier of a switch.
func guard(r *Result, subnet, id string, acl *nb.ACL) {
	acl.Direction = nb.ACLDirectionFromLport
	acl.ExternalIDs = map[string]string{"subnet": subnet}
	r.Child(logicalSwitch(subnet), nb.ACLTable, subnet+"/guard/"+id, acl)
}
