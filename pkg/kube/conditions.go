// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// Limits of the texts of conditions and events.
const (
	validateReasonPrefix   = "Validate"
	maxMessage             = 1024 // bytes of an event's note, as events.k8s.io limits it; conditions have the same limit
	maxProblemsInCondition = 5
)

// Reasons are the reasons of the conditions of one kind that are true.
type Reasons struct {
	Validated, Ready string
}

// SetConditions sets the conditions Validated, Ready, Error and Supported from a report. The times of unchanged
// conditions stay. Only objects that have had a problem have the condition Error, and only those that have had an
// optional one have Supported, which does not change the others.
func SetConditions(conditions *[]v1.Condition, reasons Reasons, r engine.Report, now metav1.Time) {
	set := func(t v1.ConditionType, status metav1.ConditionStatus, reason, message string) {
		v1.SetCondition(conditions, v1.Condition{
			Type: t, Status: status, Reason: reason, Message: message, ObservedGeneration: r.Generation,
		}, now)
	}
	resolved := func(t v1.ConditionType, status metav1.ConditionStatus) {
		if v1.FindCondition(*conditions, t) != nil {
			set(t, status, model.ReasonResolved, "")
		}
	}
	optional := filter(r.Problems, func(p model.Problem) bool { return p.Optional })
	problems := filter(r.Problems, func(p model.Problem) bool { return !p.Optional })
	if invalid := filter(problems, isInvalid); len(invalid) > 0 {
		set(v1.ConditionValidated, metav1.ConditionFalse, invalid[0].Reason, message(invalid))
	} else {
		set(v1.ConditionValidated, metav1.ConditionTrue, reasons.Validated, "")
	}
	switch {
	case len(problems) > 0:
		set(v1.ConditionReady, metav1.ConditionFalse, problems[0].Reason, message(problems))
		set(v1.ConditionError, metav1.ConditionTrue, problems[0].Reason, message(problems))
	case r.Programmed:
		set(v1.ConditionReady, metav1.ConditionTrue, reasons.Ready, "")
	default:
		set(v1.ConditionReady, metav1.ConditionFalse, model.ReasonWaiting, "the rows of this object are not yet in the northbound database")
	}
	if len(problems) == 0 {
		resolved(v1.ConditionError, metav1.ConditionFalse)
	}
	if len(optional) > 0 {
		set(v1.ConditionSupported, metav1.ConditionFalse, optional[0].Reason, message(optional))
	} else {
		resolved(v1.ConditionSupported, metav1.ConditionTrue)
	}
}

// isInvalid reports whether a problem is in the object's spec or annotations.
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

// message joins problems into one text.
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

// apiVersionOf is the group and version of a kind, for events.
func apiVersionOf(k Kind) string {
	if k.GVK.Group == "" {
		return corev1.SchemeGroupVersion.String()
	}
	return k.GVK.GroupVersion().String()
}
