// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/model"
)

// updateIPRecord patches the pod's node, type and owner in an IP object: one request.
func (w *Writer) updateIPRecord(f compile.UpdateIPRecord, done func(error)) {
	var owner, label any // nil removes the value
	if f.OwnerUID != "" {
		owner = f.OwnerUID
	}
	if len(validation.IsValidLabelValue(f.NodeName)) == 0 {
		label = f.NodeName
	}
	w.merge(f.Target(), "update", map[string]any{
		"metadata": map[string]any{
			"uid":         f.UID,
			"annotations": map[string]any{annotations.OwnerUID: owner},
			"labels":      map[string]any{annotations.LabelNodeName: label},
		},
		"spec": map[string]any{"nodeName": f.NodeName, "podType": f.PodType},
	}, done)
}

// adopt completes the record of a reserved address that a user created: one request.
func (w *Writer) adopt(a compile.Adopt, done func(error)) {
	full := model.IPObject(model.IP{
		Meta: model.Meta{Name: a.IP}, Subnet: a.Allocation.Subnet, Addrs: a.Allocation.Addrs, MAC: a.Allocation.MAC, Reserved: a.Reserved, NodeName: a.NodeName,
	})
	w.merge(a.Target(), "complete", map[string]any{
		"metadata": map[string]any{"uid": a.UID, "labels": full.Labels},
		"spec": map[string]any{
			"ipAddress": full.Spec.IPAddress, "v4IpAddress": full.Spec.V4IPAddress, "v6IpAddress": full.Spec.V6IPAddress,
			"macAddress": full.Spec.MacAddress,
		},
	}, done)
}
