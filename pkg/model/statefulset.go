// SPDX-License-Identifier: Apache-2.0

package model

import (
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/wovensdn/woven/api/annotations"
)

// PodTypeStatefulSet is the PodType of a record that outlives its pod for as long as a StatefulSet will recreate that
// pod.
const PodTypeStatefulSet = "StatefulSet"

// StatefulSet retains the addresses of its pods.
type StatefulSet struct {
	Meta
	Start    int    // ordinal of the first pod
	Replicas int    // number of pods
	Subnet   string // annotation logical_switch of the pod template
	Pool     string // annotation ip_pool of the pod template, if it is a name
}

// StatefulSetFrom projects a StatefulSet.
func StatefulSetFrom(o *appsv1.StatefulSet) (StatefulSet, []Problem) {
	s := StatefulSet{Meta: metaOf(o), Replicas: 1, Subnet: o.Spec.Template.Annotations[annotations.LogicalSwitch]}
	if o.Spec.Replicas != nil {
		s.Replicas = int(*o.Spec.Replicas)
	}
	if o.Spec.Ordinals != nil {
		s.Start = int(o.Spec.Ordinals.Start)
	}
	if pool := o.Spec.Template.Annotations[annotations.IPPool]; pool != "" && isPoolName(pool) {
		s.Pool = pool
	}
	return s, nil
}

// Makes reports whether the StatefulSet has a pod of this ordinal, or creates it.
func (s *StatefulSet) Makes(ordinal int) bool {
	return s.Start <= ordinal && ordinal-s.Start < s.Replicas
}

// OrdinalOf splits the name of a StatefulSet's pod: "<set>-<ordinal>".
func OrdinalOf(pod string) (set string, ordinal int, ok bool) {
	i := strings.LastIndexByte(pod, '-')
	if i <= 0 {
		return "", 0, false
	}
	n, err := strconv.ParseInt(pod[i+1:], 10, 32)
	if err != nil || strconv.FormatInt(n, 10) != pod[i+1:] {
		return "", 0, false
	}
	return pod[:i], int(n), true
}
