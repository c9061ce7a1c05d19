// SPDX-License-Identifier: Apache-2.0

package model

import (
	"errors"
	"fmt"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
)

// IP is the durable record of an allocation.
type IP struct {
	Meta
	Subnet    string
	Provider  Provider // of the NIC that has the address
	Addrs     Addrs
	MAC       string
	PodName   string // or name of the VM or node
	Namespace string // of the pod; empty for nodes
	NodeName  string
	PodType   string // the workload that retains the address: [PodTypeStatefulSet], [PodTypeVirtualMachine], or empty
	OwnerUID  string // of the workload that PodType names; empty if it is not recorded
	Reserved  bool
	Labelled  bool // has the controller's labels
}

// Complete reports whether a record has everything that a port needs: a MAC and, unless its subnet has no addresses, an
// address.
func (ip *IP) Complete() bool { return ip.MAC != "" && (ip.Labelled || ip.Addrs != (Addrs{})) }

// IPFrom projects an IP object. One without the label ip_reserved was created by a user to reserve an address: the
// controller labels all that it creates.
func IPFrom(o *v1.IP) (IP, []Problem) {
	p := problems{reason: ReasonIPInvalid}
	ip := IP{
		Meta:      metaOf(o),
		Subnet:    o.Spec.Subnet,
		Provider:  recordProvider(o.Name, o.Spec.PodName, o.Spec.Namespace),
		PodName:   o.Spec.PodName,
		Namespace: o.Spec.Namespace,
		NodeName:  o.Spec.NodeName,
		PodType:   o.Spec.PodType,
		OwnerUID:  o.Annotations[annotations.OwnerUID],
		Reserved:  o.Labels[annotations.LabelIPReserved] != "false",
		Labelled:  o.Labels[annotations.LabelIPReserved] != "",
	}
	if ip.Subnet == "" {
		p.fatal("spec.subnet", "it is empty: an address belongs to a Subnet")
	}
	ip.Addrs = p.recordedAddrs(&o.Spec)
	if o.Spec.MacAddress != "" {
		var err error
		if ip.MAC, err = ParseMAC(o.Spec.MacAddress); err != nil {
			p.fatal("spec.macAddress", "%s: %s", quote(o.Spec.MacAddress), err)
		}
	}
	p.unsupported(KindIP, o, &o.Spec)
	return ip, p.list
}

// recordedAddrs reads the addresses, which an IP object contains twice.
func (p *problems) recordedAddrs(spec *v1.IPSpec) Addrs {
	all := p.optionalAddrs("spec.ipAddress", spec.IPAddress)
	v4 := p.optionalAddrs("spec.v4IpAddress", spec.V4IPAddress)
	if v4.V6.IsValid() {
		p.fatal("spec.v4IpAddress", "%s is an IPv6 address", v4.V6)
	}
	v6 := p.optionalAddrs("spec.v6IpAddress", spec.V6IPAddress)
	if v6.V4.IsValid() {
		p.fatal("spec.v6IpAddress", "%s is an IPv4 address", v6.V4)
	}
	one := Addrs{V4: v4.V4, V6: v6.V6}
	p.agree("spec.v4IpAddress", one.V4, all.V4)
	p.agree("spec.v6IpAddress", one.V6, all.V6)
	if !one.V4.IsValid() {
		one.V4 = all.V4
	}
	if !one.V6.IsValid() {
		one.V6 = all.V6
	}
	if one == (Addrs{}) && !Fatal(p.list) && spec.MacAddress == "" {
		p.fatal("spec.ipAddress", "it is empty, and so are v4IpAddress, v6IpAddress and macAddress: nothing to reserve")
	}
	return one
}

func (p *problems) optionalAddrs(field, value string) Addrs {
	if value == "" {
		return Addrs{}
	}
	addrs, err := parseHostAddrs(value)
	if err != nil {
		p.fatal(field, "%s: %s", quote(value), err)
	}
	return addrs
}

func (p *problems) agree(field string, one, all netip.Addr) {
	if one.IsValid() && all.IsValid() && one != all {
		p.fatal(field, "%s contradicts spec.ipAddress, which is %s", one, all)
	}
}

// parseHostAddrs is [ParseAddrs] for addresses that one host may have.
func parseHostAddrs(text string) (Addrs, error) {
	addrs, err := ParseAddrs(text)
	if err != nil {
		return Addrs{}, err
	}
	for _, a := range Families(addrs) {
		if cause := notUnicast(a); cause != nil {
			return Addrs{}, fmt.Errorf("%s %w", a, cause)
		}
	}
	return addrs, nil
}

// notUnicast returns why an address cannot be that of a pod; nil if it can.
func notUnicast(a netip.Addr) error {
	switch {
	case a.IsUnspecified() || a.Is4() && a.As4()[0] == 0:
		return errors.New("is an unspecified address (RFC 1122, 3.2.1.3)")
	case a.IsLoopback():
		return errors.New("is a loopback address")
	case a.IsLinkLocalUnicast():
		return errors.New("is a link-local address")
	case a.IsMulticast():
		return errors.New("is a multicast address")
	case a.Is4() && a.As4()[0] >= 240:
		return errors.New("is a reserved or broadcast address (RFC 1112, 4)")
	}
	return nil
}

// IPObject returns the object that records an allocation; [IPFrom] reverses it, except UID, Created and Deleting, which
// the API server sets. The provider is in the name.
func IPObject(ip IP) *v1.IP {
	reserved := "false"
	if ip.Reserved {
		reserved = "true"
	}
	o := &v1.IP{
		TypeMeta: metav1.TypeMeta{APIVersion: v1.GroupVersion.String(), Kind: string(KindIP)},
		ObjectMeta: metav1.ObjectMeta{
			Name:       ip.Name,
			Labels:     map[string]string{annotations.LabelIPReserved: reserved},
			Finalizers: []string{annotations.Finalizer},
		},
		Spec: v1.IPSpec{
			PodName:       ip.PodName,
			Namespace:     ip.Namespace,
			Subnet:        ip.Subnet,
			NodeName:      ip.NodeName,
			IPAddress:     AddrsText(ip.Addrs),
			V4IPAddress:   addrText(ip.Addrs.V4),
			V6IPAddress:   addrText(ip.Addrs.V6),
			MacAddress:    ip.MAC,
			PodType:       ip.PodType,
			AttachSubnets: []string{},
			AttachIPs:     []string{},
			AttachMacs:    []string{},
		},
	}
	if ip.OwnerUID != "" {
		o.Annotations = map[string]string{annotations.OwnerUID: ip.OwnerUID}
	}
	// A name may be longer than a label value; the label is only for selectors of users, so it is omitted rather than
	// truncated.
	label(o.Labels, annotations.LabelSubnet, ip.Subnet)
	label(o.Labels, annotations.LabelNodeName, ip.NodeName)
	if len(validation.IsQualifiedName(ip.Subnet)) == 0 {
		o.Labels[ip.Subnet] = ""
	}
	return o
}

func label(labels map[string]string, key, value string) {
	if len(validation.IsValidLabelValue(value)) == 0 {
		labels[key] = value
	}
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
