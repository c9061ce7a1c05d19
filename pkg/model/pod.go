// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wovensdn/woven/api/annotations"
)

// Pod is a workload with at least one NIC.
type Pod struct {
	Meta
	Node        string // empty until it is scheduled
	HostNetwork bool
	Completed   bool     // Succeeded or Failed: its addresses are free
	NICs        []PodNIC // the default NIC first
	Owner       PodOwner
	// VM names the KubeVirt VM that the pod runs; empty for other pods.
	VM string
	// NorthGateway is the next hop of the pod's egress traffic, instead of the subnet's gateway node.
	NorthGateway Addrs
	// Labels and Ports, the named ports of its containers, are for the selectors of policies; nil if it has no NICs.
	// Ports are sorted.
	Labels map[string]string
	Ports  []PolicyPort
}

// PodOwner is the workload that controls a pod.
type PodOwner struct {
	Kind string // StatefulSet, ReplicaSet, …; empty for a bare pod
	Name string
	UID  string
}

// PodNIC is what a pod requests for one of its NICs, and what the controller has written for it so far.
type PodNIC struct {
	Provider Provider
	// Requests of the user.
	Subnet string // annotation logical_switch, unless the controller wrote it
	IPs    Addrs  // annotation ip_address, unless the controller wrote it
	MAC    string // annotation mac_address, unless the controller wrote it
	Family Family // annotation ip_family; [AnyFamily] for all of the subnet
	// The annotation ip_pool is a list of addresses, one of which the NIC gets, or the name of an IPPool.
	List AddressList
	Pool string
	DHCP DHCP // annotations dhcp-v4-options and dhcp-v6-options
	// Security is what the pod may send with besides its own addresses, if its subnet permits it.
	Security NICSecurity
	// Invalid NICs have requests that cannot be parsed: they get no address, and keep a recorded one.
	Invalid bool
	// Written are the present values of the annotations that the controller owns; nil until it has written them.
	// Tenants can forge them.
	Written map[string]string
	// Confirmed means that status.podIPs, which only the kubelet writes, has the addresses in Written.
	Confirmed bool
}

// ipFamilies are the values of the annotation ip_family.
var ipFamilies = map[string]Family{"ipv4": IPv4, "ipv6": IPv6}

// podSuffixes are the suffixes of [PodAnnotations].
var podSuffixes = []string{
	annotations.SuffixAllocated, annotations.SuffixRouted, annotations.SuffixIPAddress, annotations.SuffixMACAddress,
	annotations.SuffixCIDR, annotations.SuffixGateway, annotations.SuffixLogicalSwitch, annotations.SuffixLogicalRouter,
	annotations.SuffixPodNICType, annotations.SuffixVirtualMachine,
}

// PodFrom projects a pod. A pod of the host's network and one that has completed have no NICs. An annotation of a user
// that does not parse is fatal for its NIC, which must not get another address than the intended one.
func PodFrom(o *corev1.Pod) (Pod, []Problem) {
	pod := Pod{
		Meta:        metaOf(o),
		Node:        o.Spec.NodeName,
		HostNetwork: o.Spec.HostNetwork,
		Completed:   o.Status.Phase == corev1.PodSucceeded || o.Status.Phase == corev1.PodFailed,
	}
	if ref := metav1.GetControllerOfNoCopy(o); ref != nil {
		pod.Owner = PodOwner{Kind: ref.Kind, Name: ref.Name, UID: string(ref.UID)}
		if ref.Kind == "VirtualMachineInstance" && strings.HasPrefix(ref.APIVersion, "kubevirt.io/") {
			pod.VM = ref.Name // KubeVirt gives an instance the name of its VM
		}
	}
	if pod.HostNetwork || pod.Completed {
		return pod, nil
	}
	pod.Labels, pod.Ports = cloned(o.Labels), namedPorts(&o.Spec)
	p := problems{reason: ReasonPodInvalid}
	for _, provider := range []Provider{DefaultProvider} {
		nic, list := podNIC(provider, o.Annotations)
		nic.Confirmed = provider == DefaultProvider && confirmed(&nic, o.Status.PodIPs)
		pod.NICs, p.list = append(pod.NICs, nic), append(p.list, list...)
	}
	if value := o.Annotations[annotations.NorthGateway]; value != "" {
		gateway, err := parseHostAddrs(value)
		if err != nil {
			p.warn(AnnotationField(annotations.NorthGateway), "%s: %s", quote(value), err)
		} else {
			pod.NorthGateway = gateway
		}
	}
	p.unsupported(KindPod, o, nil)
	return pod, p.list
}

// confirmed reports whether the addresses in the annotations of a NIC are those in the status of its pod.
func confirmed(nic *PodNIC, status []corev1.PodIP) bool {
	if len(nic.Written) == 0 || len(status) == 0 {
		return false
	}
	addrs := Families(nic.Carried().Addrs)
	return len(addrs) == len(status) && !slices.ContainsFunc(status, func(ip corev1.PodIP) bool {
		addr, err := parseAPIAddr(ip.IP)
		return err != nil || !slices.Contains(addrs, addr)
	})
}

// Carried is what the annotations of a NIC say that it has. Tenants can forge them.
func (nic *PodNIC) Carried() NICState {
	state, _ := ReadNIC(nic.Provider, nic.Written)
	return state
}

// namedPorts are those of all containers that run concurrently: the containers and the sidecar containers (KEP-753).
func namedPorts(spec *corev1.PodSpec) []PolicyPort {
	var out []PolicyPort
	add := func(c *corev1.Container) {
		for _, port := range c.Ports {
			protocol, known := protocols[port.Protocol]
			if port.Name == "" || !known || port.ContainerPort < 1 || port.ContainerPort > 65535 {
				continue
			}
			number := uint16(port.ContainerPort)
			out = append(out, PolicyPort{Name: port.Name, Protocol: protocol, First: number, Last: number})
		}
	}
	for i := range spec.InitContainers {
		if c := &spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	for i := range spec.Containers {
		add(&spec.Containers[i])
	}
	return sorted(out, comparePolicyPorts)
}

// podNIC reads the annotations of one NIC; its fatal problems are of that NIC alone.
func podNIC(provider Provider, all map[string]string) (PodNIC, []Problem) {
	p := problems{reason: ReasonPodInvalid}
	nic := p.nic(provider, all)
	if !Fatal(p.list) {
		return nic, p.list
	}
	for i := range p.list {
		if p.list[i].Fatal {
			p.list[i].NIC = provider
		}
	}
	return PodNIC{Provider: provider, DHCP: nic.DHCP, Security: nic.Security, Invalid: true}, p.list
}

// nic reads the annotations of one NIC. Once "allocated" is "true" they are the controller's own record, before that
// they are requests of the user.
func (p *problems) nic(provider Provider, all map[string]string) PodNIC {
	nic := PodNIC{Provider: provider}
	p.portDHCP(all, &nic)
	p.portSecurity(all, &nic)
	if all[provider.Key(annotations.SuffixAllocated)] == "true" {
		keys := make([]string, 0, len(podSuffixes))
		for _, suffix := range podSuffixes {
			keys = append(keys, provider.Key(suffix))
		}
		nic.Written = pick(all, keys)
		return nic
	}
	p.request(all, provider, annotations.SuffixLogicalSwitch, func(value string) string {
		nic.Subnet = value
		return notAName(value)
	})
	p.request(all, provider, annotations.SuffixIPAddress, func(value string) string {
		var err error
		nic.IPs, err = parseHostAddrs(value)
		return errorText(err)
	})
	p.request(all, provider, annotations.SuffixIPFamily, func(value string) string {
		nic.Family = ipFamilies[strings.ToLower(value)]
		return notAFamily(nic)
	})
	p.request(all, provider, annotations.SuffixIPPool, func(value string) string {
		var err error
		if isPoolName(value) {
			nic.Pool = value
			return notAName(value)
		}
		nic.List, err = ParseAddressList(value)
		return errorText(err)
	})
	p.request(all, provider, annotations.SuffixMACAddress, func(value string) string {
		var err error
		nic.MAC, err = ParseMAC(value)
		return errorText(err)
	})
	return nic
}

// isPoolName reports whether text is the name of a pool: every list begins with an address.
func isPoolName(text string) bool {
	first := text
	if i := strings.IndexAny(text, ",;"); i >= 0 {
		return false
	}
	if i := strings.Index(text, ".."); i >= 0 {
		first = text[:i]
	}
	_, err := netip.ParseAddr(strings.TrimSpace(first))
	return err != nil && strings.Trim(text, "0123456789.") != "" && !strings.ContainsAny(text, ":/")
}

// notAFamily returns why a NIC cannot have the IP family that it requests; empty if it can.
func notAFamily(nic PodNIC) string {
	switch {
	case nic.Family == AnyFamily:
		return "not ipv4 or ipv6"
	case nic.Family == IPv4 && nic.IPs.V6.IsValid():
		return "the annotation ip_address asks for " + nic.IPs.V6.String()
	case nic.Family == IPv6 && nic.IPs.V4.IsValid():
		return "the annotation ip_address asks for " + nic.IPs.V4.String()
	}
	return ""
}

// request parses one annotation of a user; an empty value counts as absent.
func (p *problems) request(all map[string]string, provider Provider, suffix string, parse func(string) string) {
	p.annotation(all, provider.Key(suffix), parse)
}

func (p *problems) annotation(all map[string]string, key string, parse func(string) string) {
	value := all[key]
	if value == "" {
		return
	}
	if cause := parse(value); cause != "" {
		p.fatal(AnnotationField(key), "%s: %s", quote(value), cause)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// RecordName is the name in the pod's records and ports: that of the VM that it runs, or its own.
func (p *Pod) RecordName() string {
	if p.VM != "" {
		return p.VM
	}
	return p.Name
}

// PortName is the name of the logical switch port of one of the pod's NICs, and of its IP object.
func (p *Pod) PortName(provider Provider) string {
	return PortName(p.RecordName(), p.Namespace, provider)
}

// PortName is the name of a logical switch port, and of its IP object, see [Pod.RecordName]: "<pod>.<namespace>", with
// ".<provider>" for other providers than "ovn".
func PortName(pod, namespace string, provider Provider) string {
	if provider == "" || provider == DefaultProvider {
		return pod + "." + namespace
	}
	return pod + "." + namespace + "." + string(provider)
}

// NodePortName is the name of a node's logical switch port, and of its IP object.
func NodePortName(node string) string { return "node-" + node }

// ChooseSubnets returns the subnets that a NIC may get its address from, in order of preference: the next one is used
// when those before it are exhausted. Only the most specific source counts: the pod's annotation, the annotation of its
// namespace (chosen), the subnets bound to the namespace by their spec (bound, only those of the NIC's provider), the
// Vpc's default subnet, the cluster's. Only the pod's annotation and bound apply to a NIC other than the default one.
func ChooseSubnets(nic PodNIC, chosen, bound []string, vpcDefault, clusterDefault string) []string {
	requests := [][]string{{nic.Subnet}, bound}
	if nic.Provider == DefaultProvider {
		requests = [][]string{{nic.Subnet}, chosen, bound, {vpcDefault}, {clusterDefault}}
	}
	for _, request := range requests {
		var names []string
		for _, name := range request {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			return names
		}
	}
	return nil
}
