// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/addresses"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// StatusInput contains the inputs of a status besides the object itself.
type StatusInput struct {
	Report *engine.Report   // nil if there is none yet
	Usage  *addresses.Usage // nil if the object has no addresses, or they are not counted yet
	Names  Names
	// Known lists the objects of a kind with a status, by name.
	Known func(model.Kind) []Object
	Now   metav1.Time
}

// counters are the fields of a status for the addresses of one IP family.
type counters struct {
	using, available           *v1.BigInt
	usingRange, availableRange *string
}

func setUsage(u addresses.Usage, v4, v6 counters) {
	*v4.using, *v4.available = v1.NewBigInt(u.Stats.V4.Using), v1.NewBigInt(u.Stats.V4.Available)
	*v6.using, *v6.available = v1.NewBigInt(u.Stats.V6.Using), v1.NewBigInt(u.Stats.V6.Available)
	*v4.usingRange, *v4.availableRange = u.Ranges.Using.V4, u.Ranges.Available.V4
	*v6.usingRange, *v6.availableRange = u.Ranges.Using.V6, u.Ranges.Available.V6
}

func subnetStatus(o *v1.Subnet, in StatusInput) *v1.Subnet {
	o = o.DeepCopy()
	s := &o.Status
	if in.Usage != nil {
		setUsage(*in.Usage, counters{&s.V4UsingIPs, &s.V4AvailableIPs, &s.V4UsingIPRange, &s.V4AvailableIPRange},
			counters{&s.V6UsingIPs, &s.V6AvailableIPs, &s.V6UsingIPRange, &s.V6AvailableIPRange})
	}
	if in.Report != nil {
		reasons := Reasons{Validated: model.ReasonSubnetValidated, Ready: model.ReasonSubnetOpen}
		if o.Spec.Private {
			reasons.Ready = model.ReasonSubnetPrivate
		}
		SetConditions(&s.Conditions, reasons, *in.Report, in.Now)
		if in.Report.Generation == o.Generation { // else the report is about an earlier spec
			s.NatOutgoingPolicyRules = model.NATRulesInForce(o)
			setDHCP(o)
		}
	}
	return o
}

// setDHCP sets the UUIDs of the subnet's rows of DHCP_Options.
func setDHCP(o *v1.Subnet) {
	subnet, problems := model.SubnetFrom(o)
	if model.Fatal(problems) {
		return // the last valid state is in force
	}
	o.Status.DHCPv4OptionsUUID, o.Status.DHCPv6OptionsUUID = "", ""
	if subnet.DHCP.V4 != nil {
		o.Status.DHCPv4OptionsUUID = compile.DHCPOptionsUUID(o.Name, model.IPv4)
	}
	if subnet.DHCP.V6 != nil {
		o.Status.DHCPv6OptionsUUID = compile.DHCPOptionsUUID(o.Name, model.IPv6)
	}
}

func poolStatus(o *v1.IPPool, in StatusInput) *v1.IPPool {
	o = o.DeepCopy()
	s := &o.Status
	if in.Usage != nil {
		setUsage(*in.Usage, counters{&s.V4UsingIPs, &s.V4AvailableIPs, &s.V4UsingIPRange, &s.V4AvailableIPRange},
			counters{&s.V6UsingIPs, &s.V6AvailableIPs, &s.V6UsingIPRange, &s.V6AvailableIPRange})
	}
	if in.Report != nil {
		SetConditions(&s.Conditions, Reasons{Validated: model.ReasonIPPoolValidated, Ready: model.ReasonIPPoolReady}, *in.Report, in.Now)
	}
	return o
}

func vpcStatus(o *v1.Vpc, in StatusInput) *v1.Vpc {
	o = o.DeepCopy()
	s := &o.Status
	s.Default = o.Name == in.Names.ClusterRouter
	s.Router = o.Name
	s.Subnets = nil
	for _, known := range in.Known(model.KindSubnet) {
		if subnet, ok := known.(*v1.Subnet); ok && vpcOf(subnet) == o.Name {
			s.Subnets = append(s.Subnets, subnet.Name)
		}
	}
	slices.Sort(s.Subnets)
	s.DefaultLogicalSwitch = o.Spec.DefaultSubnet
	if s.Default {
		s.DefaultLogicalSwitch = cmp.Or(o.Spec.DefaultSubnet, in.Names.DefaultSubnet)
	}
	if in.Report != nil {
		s.Standby = s.Standby || in.Report.Programmed
		SetConditions(&s.Conditions, Reasons{Validated: model.ReasonVpcValidated, Ready: model.ReasonVpcProgrammed}, *in.Report, in.Now)
	}
	return o
}

// vpcOf is the Vpc of a subnet, with the default of its projection.
func vpcOf(o *v1.Subnet) string {
	subnet, _ := model.SubnetFrom(o)
	return subnet.Vpc
}
