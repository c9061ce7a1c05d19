// SPDX-License-Identifier: Apache-2.0

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConditionType names one aspect of an object's state.
type ConditionType string

// The condition types that all kinds share.
const (
	// ConditionReady is True once everything the object asks for is in place.
	ConditionReady ConditionType = "Ready"
	// ConditionValidated is True once the spec has passed every check; the message of a False one names field and cause.
	ConditionValidated ConditionType = "Validated"
	// ConditionInit is True once the object has been processed for the first time.
	ConditionInit ConditionType = "Init"
	// ConditionError is True while the last attempt failed; the message gives the error.
	ConditionError ConditionType = "Error"
	// ConditionSupported is False while the object sets optional fields or annotations that are not supported; the message
	// names them. The object works without them.
	ConditionSupported ConditionType = "Supported"
)

// Condition is one observed aspect of an object's state, with the reason for it.
type Condition struct {
	// Aspect that this condition is about: Ready (everything the object asks for is in place), Validated (the spec passed every check), Init (processed at least once), Error (the last attempt failed) or Supported (False if optional fields or annotations have no effect, which the message names).
	Type ConditionType `json:"type"`
	// Whether the aspect holds: True, False, or Unknown when it was not determined yet.
	Status metav1.ConditionStatus `json:"status"`
	// Cause of the status as one CamelCase word, for programs.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Cause of the status as a sentence, for people; it names the field at fault where there is one.
	// +optional
	Message string `json:"message,omitempty"`
	// The metadata.generation of the object that this condition was computed from. If it is lower than the current one, the condition speaks of an older spec.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Time (RFC 3339) at which anything in this condition last changed.
	// +optional
	LastUpdateTime metav1.Time `json:"lastUpdateTime,omitzero"`
	// Time (RFC 3339) at which the status last changed, for example from False to True.
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitzero"`
}

// FindCondition returns the condition of one type, or nil.
func FindCondition(conditions []Condition, t ConditionType) *Condition {
	for i := range conditions {
		if conditions[i].Type == t {
			return &conditions[i]
		}
	}
	return nil
}

// IsConditionTrue says whether the condition of one type is present and True.
func IsConditionTrue(conditions []Condition, t ConditionType) bool {
	c := FindCondition(conditions, t)
	return c != nil && c.Status == metav1.ConditionTrue
}

// SetCondition puts want into conditions, replacing the one of its type, and
// reports whether anything changed; if not, the times stay as they are, so that
// an unchanged status is written no second time. now becomes LastUpdateTime,
// and LastTransitionTime too if Status changed.
func SetCondition(conditions *[]Condition, want Condition, now metav1.Time) bool {
	want.LastUpdateTime, want.LastTransitionTime = now, now
	have := FindCondition(*conditions, want.Type)
	if have == nil {
		*conditions = append(*conditions, want)
		return true
	}
	return have.update(want)
}

// update takes over want and reports whether anything but the times changed.
func (c *Condition) update(want Condition) bool {
	if c.Status == want.Status {
		want.LastTransitionTime = c.LastTransitionTime
	}
	same := c.Status == want.Status && c.Reason == want.Reason &&
		c.Message == want.Message && c.ObservedGeneration == want.ObservedGeneration
	if same {
		return false
	}
	*c = want
	return true
}
