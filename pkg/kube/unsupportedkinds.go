// SPDX-License-Identifier: Apache-2.0

package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
)

// unsupportedKinds are the rows of the kinds of Kube-OVN that are not supported yet. Where their definitions exist,
// their objects are watched, so that each gets an event that says so.
func unsupportedKinds() (out Kinds) {
	for _, k := range model.UnsupportedKinds() {
		switch definition := k.Resource + "." + v1.GroupName; k.Name {
		case "Vlan":
			out = append(out, unsupportedRow(k.Name, definition, vlanStatus).Kind())
		case "ProviderNetwork":
			out = append(out, unsupportedRow(k.Name, definition, providerNetworkStatus).Kind())
		default: // only the metadata are read
			out = append(out, unsupportedRow[*metav1.PartialObjectMetadata](k.Name, definition, nil).Kind())
		}
	}
	return out
}

func unsupportedRow[O Object](name model.Kind, definition string, status func(O, StatusInput) O) Row[O, model.Unsupported] {
	return Row[O, model.Unsupported]{
		Name: name, Version: v1.GroupVersion, Definition: definition, Project: model.UnsupportedFrom[O](name), Status: status,
		Admission: &Admission[model.Unsupported]{},
	}
}

func vlanStatus(o *v1.Vlan, in StatusInput) *v1.Vlan {
	o = o.DeepCopy()
	setUnsupported(&o.Status.Conditions, in)
	return o
}

func providerNetworkStatus(o *v1.ProviderNetwork, in StatusInput) *v1.ProviderNetwork {
	o = o.DeepCopy()
	var conditions []v1.Condition
	for _, c := range o.Status.Conditions {
		conditions = append(conditions, c.Condition)
	}
	setUnsupported(&conditions, in)
	o.Status.Conditions = nil
	for _, c := range conditions {
		o.Status.Conditions = append(o.Status.Conditions, v1.ProviderNetworkCondition{Condition: c})
	}
	return o
}

// setUnsupported sets the condition Ready of an object that has no effect.
func setUnsupported(conditions *[]v1.Condition, in StatusInput) {
	if in.Report == nil || len(in.Report.Problems) == 0 {
		return
	}
	v1.SetCondition(conditions, v1.Condition{
		Type: v1.ConditionReady, Status: metav1.ConditionFalse, Reason: in.Report.Problems[0].Reason,
		Message: message(in.Report.Problems), ObservedGeneration: in.Report.Generation,
	}, in.Now)
}
