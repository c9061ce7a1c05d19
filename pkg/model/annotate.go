// SPDX-License-Identifier: Apache-2.0

package model

import (
	"strings"

	"github.com/wovensdn/woven/api/annotations"
)

// AnnotationField is the field of a [Problem] for an annotation.
func AnnotationField(key string) string { return annotationField + key + "]" }

const annotationField = "metadata.annotations["

// AnnotationKey reverses [AnnotationField]; it returns the names of other fields as they are.
func AnnotationKey(field string) string {
	if key, ok := strings.CutPrefix(field, annotationField); ok {
		return strings.TrimSuffix(key, "]")
	}
	return field
}

// podNICType is the only kind of pod interface there is: a veth pair with one end in Open vSwitch.
const podNICType = "veth-pair"

// PodAnnotations are what the controller writes on a pod once the port of one of its NICs is in the northbound
// database. The annotations cidr and gateway describe the subnet: they have all its IP families, also those in which
// the NIC has no address.
func PodAnnotations(pod Pod, nic PodNIC, ip IP, subnet SubnetNetwork) map[string]string {
	out := map[string]string{}
	set := func(suffix, value string) {
		if value != "" {
			out[nic.Provider.Key(suffix)] = value
		}
	}
	set(annotations.SuffixAllocated, "true")
	set(annotations.SuffixRouted, "true")
	set(annotations.SuffixIPAddress, AddrsText(ip.Addrs))
	set(annotations.SuffixMACAddress, ip.MAC)
	set(annotations.SuffixCIDR, PrefixesText(subnet.CIDR))
	set(annotations.SuffixGateway, AddrsText(subnet.Gateway))
	set(annotations.SuffixLogicalSwitch, subnet.Name)
	set(annotations.SuffixLogicalRouter, subnet.Vpc)
	set(annotations.SuffixPodNICType, podNICType)
	set(annotations.SuffixVirtualMachine, pod.VM)
	return out
}

// NodeAnnotations are what the controller writes on a node once its port is in the northbound database.
func NodeAnnotations(node Node, ip IP, subnet SubnetNetwork) map[string]string {
	return map[string]string{
		annotations.Allocated:     "true",
		annotations.IPAddress:     AddrsText(ip.Addrs),
		annotations.MACAddress:    ip.MAC,
		annotations.CIDR:          PrefixesText(subnet.CIDR),
		annotations.Gateway:       AddrsText(subnet.Gateway),
		annotations.LogicalSwitch: subnet.Name,
		annotations.PortName:      NodePortName(node.Name),
	}
}
