package kube

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// Reasons of conditions. Those of Subnets are Kube-OVN's, which people and
// scripts look for.
const (
	reasonValidated        = "ValidateLogicalSwitchSuccess"
	reasonPrivate          = "SetPrivateLogicalSwitchSuccess"
	reasonOpen             = "ResetLogicalSwitchAclSuccess"
	reasonPoolValidated    = "ValidateIPPoolSuccess"
	reasonPoolReady        = "UpdateIPAMSucceeded"
	reasonVpcValidated     = "ValidateVpcSuccess"
	reasonVpcProgrammed    = "VpcProgrammed"
	reasonWaiting          = "WaitingForNorthbound"
	reasonResolved         = "Resolved"
	validateReasonPrefix   = "Validate"
	maxMessage             = 1024 // of an event's note; conditions hold to it, too
	maxProblemsInCondition = 5
)

// aspects are the reasons that one kind uses when all is well.
type aspects struct {
	validated, ready string
}

func aspectsOf(o Object) aspects {
	subnet, ok := o.(*v1.Subnet)
	_, isPool := o.(*v1.IPPool)
	switch {
	case isPool:
		return aspects{validated: reasonPoolValidated, ready: reasonPoolReady}
	case !ok:
		return aspects{validated: reasonVpcValidated, ready: reasonVpcProgrammed}
	case subnet.Spec.Private:
		return aspects{validated: reasonValidated, ready: reasonPrivate}
	default:
		return aspects{validated: reasonValidated, ready: reasonOpen}
	}
}

// setConditions says in conditions what a report says, and leaves their times
// alone where nothing changed. Error is there only for objects that have had one.
func setConditions(conditions *[]v1.Condition, a aspects, r engine.Report, generation int64, now metav1.Time) {
	set := func(t v1.ConditionType, status metav1.ConditionStatus, reason, message string) {
		v1.SetCondition(conditions, v1.Condition{
			Type: t, Status: status, Reason: reason, Message: message, ObservedGeneration: generation,
		}, now)
	}
	invalid := filter(r.Problems, isInvalid)
	if len(invalid) > 0 {
		set(v1.ConditionValidated, metav1.ConditionFalse, invalid[0].Reason, message(invalid))
	} else {
		set(v1.ConditionValidated, metav1.ConditionTrue, a.validated, "")
	}
	switch {
	case len(r.Problems) > 0:
		set(v1.ConditionReady, metav1.ConditionFalse, r.Problems[0].Reason, message(r.Problems))
		set(v1.ConditionError, metav1.ConditionTrue, r.Problems[0].Reason, message(r.Problems))
		return
	case r.Programmed:
		set(v1.ConditionReady, metav1.ConditionTrue, a.ready, "")
	default:
		set(v1.ConditionReady, metav1.ConditionFalse, reasonWaiting, "the rows of this object are not yet in the northbound database")
	}
	if v1.FindCondition(*conditions, v1.ConditionError) != nil {
		set(v1.ConditionError, metav1.ConditionFalse, reasonResolved, "")
	}
}

// isInvalid tells whether a problem is about what the object's author wrote.
func isInvalid(p model.Problem) bool {
	return p.Fatal || strings.HasPrefix(p.Reason, validateReasonPrefix)
}

func filter(problems []model.Problem, keep func(model.Problem) bool) []model.Problem {
	var out []model.Problem
	for _, p := range problems {
		if keep(p) {
			out = append(out, p)
		}
	}
	return out
}

// message joins problems into one text for people.
func message(problems []model.Problem) string {
	var texts []string
	for i, p := range problems {
		if i == maxProblemsInCondition {
			texts = append(texts, "…")
			break
		}
		texts = append(texts, p.Error())
	}
	return clip(strings.Join(texts, "; "))
}

func clip(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage-len("…")], "") + "…"
}

// setUsage writes the counters of a subnet's addresses.
func setUsage(s *v1.SubnetStatus, u engine.Usage) {
	s.V4UsingIPs, s.V4AvailableIPs = v1.NewBigInt(u.Stats.V4.Using), v1.NewBigInt(u.Stats.V4.Available)
	s.V6UsingIPs, s.V6AvailableIPs = v1.NewBigInt(u.Stats.V6.Using), v1.NewBigInt(u.Stats.V6.Available)
	s.V4UsingIPRange, s.V4AvailableIPRange = u.Ranges.Using.V4, u.Ranges.Available.V4
	s.V6UsingIPRange, s.V6AvailableIPRange = u.Ranges.Using.V6, u.Ranges.Available.V6
}

// subnetStatus is the status that a subnet should have; report and usage may be nil.
func subnetStatus(o *v1.Subnet, r *engine.Report, u *engine.Usage, now metav1.Time) v1.SubnetStatus {
	status := o.DeepCopy().Status
	if u != nil {
		setUsage(&status, *u)
	}
	if r != nil {
		setConditions(&status.Conditions, aspectsOf(o), *r, o.Generation, now)
		status.NatOutgoingPolicyRules = model.NATRulesInForce(o)
		setDHCP(&status, o)
	}
	return status
}

// setDHCP tells which rows of DHCP_Options are the subnet's.
func setDHCP(status *v1.SubnetStatus, o *v1.Subnet) {
	subnet, problems := model.SubnetFrom(o)
	if model.Fatal(problems) {
		return // the last good state is in force
	}
	status.DHCPv4OptionsUUID, status.DHCPv6OptionsUUID = "", ""
	if subnet.DHCP.V4 != nil {
		status.DHCPv4OptionsUUID = compile.DHCPOptionsUUID(o.Name, "ip4")
	}
	if subnet.DHCP.V6 != nil {
		status.DHCPv6OptionsUUID = compile.DHCPOptionsUUID(o.Name, "ip6")
	}
}

// poolStatus is the status that an IPPool should have; report and usage may be nil.
func poolStatus(o *v1.IPPool, r *engine.Report, u *engine.Usage, now metav1.Time) v1.IPPoolStatus {
	status := o.DeepCopy().Status
	if u != nil {
		status.V4UsingIPs, status.V4AvailableIPs = v1.NewBigInt(u.Stats.V4.Using), v1.NewBigInt(u.Stats.V4.Available)
		status.V6UsingIPs, status.V6AvailableIPs = v1.NewBigInt(u.Stats.V6.Using), v1.NewBigInt(u.Stats.V6.Available)
		status.V4UsingIPRange, status.V4AvailableIPRange = u.Ranges.Using.V4, u.Ranges.Available.V4
		status.V6UsingIPRange, status.V6AvailableIPRange = u.Ranges.Using.V6, u.Ranges.Available.V6
	}
	if r != nil {
		setConditions(&status.Conditions, aspectsOf(o), *r, o.Generation, now)
	}
	return status
}

// vpcStatus is the status that a Vpc should have, given all subnets.
func vpcStatus(o *v1.Vpc, subnets []Object, r *engine.Report, names Names, now metav1.Time) v1.VpcStatus {
	status := o.DeepCopy().Status
	status.Default = o.Name == names.ClusterRouter
	status.Router = o.Name
	status.Subnets = nil
	for _, s := range subnets {
		if subnet, ok := s.(*v1.Subnet); ok && vpcOf(subnet) == o.Name {
			status.Subnets = append(status.Subnets, subnet.Name)
		}
	}
	slices.Sort(status.Subnets)
	status.DefaultLogicalSwitch = o.Spec.DefaultSubnet
	if status.Default {
		status.DefaultLogicalSwitch = cmp.Or(o.Spec.DefaultSubnet, names.DefaultSubnet)
	}
	if r != nil {
		status.Standby = status.Standby || r.Programmed
		setConditions(&status.Conditions, aspectsOf(o), *r, o.Generation, now)
	}
	return status
}

// vpcOf is the Vpc of a subnet, by default as in its projection.
func vpcOf(o *v1.Subnet) string {
	subnet, _ := model.SubnetFrom(o)
	return subnet.Vpc
}

// apiVersionOf is the group and version of a kind, for events.
func apiVersionOf(k kind) string {
	if k.gvk.Group == "" {
		return corev1.SchemeGroupVersion.String()
	}
	return k.gvk.GroupVersion().String()
}
