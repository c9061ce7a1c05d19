// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/wovensdn/woven/pkg/model"
)

// emitProblems emits an event about the Node for each problem of the plan that the previous plan did not have.
func (l *Reconciler) emitProblems(own *corev1.Node, problems []string) {
	about := &corev1.ObjectReference{APIVersion: "v1", Kind: string(model.KindNode), Name: own.Name, UID: own.UID}
	for _, p := range problems {
		if !slices.Contains(l.lastProblems, p) {
			l.e.Events.Event(about, corev1.EventTypeWarning, model.ReasonHostNetworkIncomplete, p)
		}
	}
	l.lastProblems = problems
}
