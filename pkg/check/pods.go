// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// nic is one network interface that a scheduled pod needs or has.
type nic struct {
	pod      *corev1.Pod
	provider model.Provider
	port     string // name of the logical switch port and of the IP object
	record   string // name in the IP object: the name of the pod, or of the VM that it runs
	// From the annotations of the controller.
	allocated    bool
	subnet       string
	addrs        model.Addrs
	mac          string
	unparsed     string // why the annotations cannot be read
	deleting     bool   // the pod is being deleted: its rows and interfaces may exist or not
	hasContainer bool   // its sandbox runs, so the node has an interface for it
}

// nicsOf lists the interfaces of a pod; none for a pod that is not scheduled, uses the host network or has completed.
func nicsOf(pod *corev1.Pod) []*nic {
	if pod.Spec.NodeName == "" {
		return nil
	}
	projected, _ := model.PodFrom(pod)
	var out []*nic
	for _, projectedNIC := range projected.NICs {
		provider := projectedNIC.Provider
		state, problems := model.ReadNIC(provider, pod.Annotations)
		n := &nic{
			pod: pod, provider: provider, port: projected.PortName(provider), record: projected.RecordName(),
			allocated: state.Allocated, subnet: state.Subnet, addrs: state.Addrs, mac: state.MAC,
			deleting: pod.DeletionTimestamp != nil,
		}
		n.hasContainer = !n.deleting && (pod.Status.Phase == corev1.PodRunning || pod.Status.PodIP != "")
		switch {
		case !n.allocated:
		case len(problems) > 0:
			n.unparsed = fmt.Sprintf("annotation %s: %s", model.AnnotationKey(problems[0].Field), problems[0].Message)
		case n.addrs == (model.Addrs{}):
			n.unparsed = fmt.Sprintf("annotation %s is empty", provider.Key(annotations.SuffixIPAddress))
		}
		out = append(out, n)
	}
	return out
}

func (n *nic) String() string { return "pod " + n.pod.Namespace + "/" + n.pod.Name }

// wanted are the interfaces that must be fully connected, by port name.
func (c *comparison) wanted() []*nic {
	var out []*nic
	for _, name := range sortedKeys(c.nics) {
		if n := c.nics[name]; n.allocated && !n.deleting && n.unparsed == "" {
			out = append(out, n)
		}
	}
	return out
}

// pods compares a pod's annotations with its IP object, its subnet and its status.
func (c *comparison) pods() {
	for _, name := range sortedKeys(c.nics) {
		n := c.nics[name]
		switch {
		case n.deleting:
		case !n.allocated:
			c.differ(checkAPI, "%s has no address: annotation %s is not \"true\"", n, n.provider.Key(annotations.SuffixAllocated))
		case n.unparsed != "":
			c.differ(checkAPI, "%s: %s", n, n.unparsed)
		}
	}
	for _, n := range c.wanted() {
		c.podRecord(n)
		c.podSubnet(n)
		if ips := statusIPs(n.pod); n.provider == model.DefaultProvider && ips != "" && ips != model.AddrsText(n.addrs) {
			c.differ(checkAPI, "%s: annotation ip_address %s, status.podIPs %s", n, model.AddrsText(n.addrs), ips)
		}
	}
}

func (c *comparison) podRecord(n *nic) {
	record, ok := c.record[n.port]
	if !ok {
		c.differ(checkAPI, "%s: address %s is in no IP object: %s is missing", n, model.AddrsText(n.addrs), n.port)
		return
	}
	same := func(what, annotation, recorded string) {
		if annotation != recorded {
			c.differ(checkAPI, "%s: %s %s, IP object %s has %s", n, what, orNone(annotation), n.port, orNone(recorded))
		}
	}
	same("annotation ip_address", model.AddrsText(n.addrs), addrsOf(record))
	same("annotation mac_address", n.mac, strings.ToLower(record.Spec.MacAddress))
	same("annotation logical_switch", n.subnet, record.Spec.Subnet)
	same("node", n.pod.Spec.NodeName, record.Spec.NodeName)
	same("the name of pod or VM", n.pod.Namespace+"/"+n.record, record.Spec.Namespace+"/"+record.Spec.PodName)
}

func (c *comparison) podSubnet(n *nic) {
	object, ok := c.subnet[n.subnet]
	if !ok {
		c.differ(checkAPI, "%s: annotation logical_switch %s, which does not exist", n, orNone(n.subnet))
		return
	}
	projected, _ := model.SubnetFrom(object)
	for _, a := range model.Families(n.addrs) {
		if !within(projected.CIDR, a) {
			c.differ(checkAPI, "%s: annotation ip_address %s is not in the CIDR %s of Subnet %s", n, a, model.PrefixesText(projected.CIDR), n.subnet)
		}
	}
}

// records finds IP objects that no pod, node or workload uses.
func (c *comparison) records() {
	for _, name := range sortedKeys(c.record) {
		ip := c.record[name]
		if ip.Labels[annotations.LabelIPReserved] != "false" || c.nics[name] != nil {
			continue
		}
		if node, ok := strings.CutPrefix(name, model.NodePortName("")); ok && ip.Spec.Namespace == "" {
			if c.node[node] == nil {
				c.differ(checkAPI, "IP object %s (%s) has no node", name, addrsOf(ip))
			}
			continue
		}
		if !c.kept(ip) {
			c.differ(checkAPI, "IP object %s (%s) has no pod %s/%s that uses it", name, addrsOf(ip), ip.Spec.Namespace, ip.Spec.PodName)
		}
	}
}

// kept reports whether a StatefulSet keeps an address for a pod that it will create again, or a VM for its next start.
func (c *comparison) kept(o *v1.IP) bool {
	ip, _ := model.IPFrom(o)
	if ip.PodType == model.PodTypeVirtualMachine {
		_, there := c.world.VirtualMachines.Get(world.Key{Namespace: ip.Namespace, Name: ip.PodName})
		return there
	}
	name, ordinal, ok := model.OrdinalOf(ip.PodName)
	set, there := c.world.StatefulSets.Get(world.Key{Namespace: ip.Namespace, Name: name})
	return ok && there && ip.PodType == model.PodTypeStatefulSet && set.Makes(ordinal) && (ip.OwnerUID == "" || ip.OwnerUID == set.UID)
}

func addrsOf(ip *v1.IP) string {
	if ip.Spec.IPAddress != "" {
		if addrs, err := model.ParseAddrs(ip.Spec.IPAddress); err == nil {
			return model.AddrsText(addrs)
		}
		return ip.Spec.IPAddress
	}
	return strings.Trim(ip.Spec.V4IPAddress+","+ip.Spec.V6IPAddress, ",")
}

// statusIPs are the addresses that kubelet reports, IPv4 first.
func statusIPs(pod *corev1.Pod) string {
	var addrs model.Addrs
	for _, ip := range pod.Status.PodIPs {
		a, err := netip.ParseAddr(ip.IP)
		switch {
		case err != nil:
		case a.Is4():
			addrs.V4 = a
		default:
			addrs.V6 = a
		}
	}
	return model.AddrsText(addrs)
}

func within(cidr model.Prefixes, a netip.Addr) bool {
	return cidr.V4.IsValid() && cidr.V4.Contains(a) || cidr.V6.IsValid() && cidr.V6.Contains(a)
}

func orNone(text string) string { return cmp.Or(text, "none") }

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
