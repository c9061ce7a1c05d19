// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/projection"
)

// finish writes the chassis annotation, the Node's condition and, when nothing blocks and CNI requests are served, the
// runtime's network configuration.
func (l *Reconciler) finish(ctx context.Context, own *corev1.Node, blocking *[]string) error {
	errs := []error{l.writeChassis(ctx, own), l.writeCondition(ctx, own)}
	if !l.serving.Load() {
		*blocking = append(*blocking, "CNI requests are not served yet")
	}
	if len(*blocking) == 0 {
		changed, err := l.cfg.Conf.Ensure()
		if err != nil {
			*blocking = append(*blocking, err.Error())
			errs = append(errs, err)
		}
		if changed {
			l.e.Log.Info("network configuration written", "file", l.cfg.Conf.Path())
		}
	}
	return errors.Join(errs...)
}

// writeChassis records which OVN chassis this node is.
func (l *Reconciler) writeChassis(ctx context.Context, own *corev1.Node) error {
	id, err := l.e.Switch.SystemID()
	if err != nil {
		return fmt.Errorf("read OVS system-id: %w", err)
	}
	if id == "" || own.Annotations[annotations.Chassis] == id {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"annotations": map[string]string{annotations.Chassis: id}},
	})
	if err != nil {
		return fmt.Errorf("write annotation %s: %w", annotations.Chassis, err)
	}
	if err := l.e.API.Patch(ctx, bare(own), client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("write annotation %s of node %s: %w", annotations.Chassis, own.Name, err)
	}
	return nil
}

// writeCondition writes the condition if its status or reason has changed. It is left alone until the gateway has
// answered or has not answered for long.
func (l *Reconciler) writeCondition(ctx context.Context, own *corev1.Node) error {
	known, verdict := l.e.Gateways.State()
	if !known {
		return nil
	}
	want := condition(verdict, l.e.Clock.Now())
	if c := projection.NetworkCondition(own); c != nil && c.Status == want.Status && c.Reason == want.Reason {
		return nil
	}
	// A strategic merge replaces the element of this type and leaves the others.
	patch, err := json.Marshal(map[string]any{
		"status": map[string]any{"conditions": []corev1.NodeCondition{want}},
	})
	if err != nil {
		return fmt.Errorf("write condition %s: %w", want.Type, err)
	}
	if err := l.e.API.Status().Patch(ctx, bare(own), client.RawPatch(types.StrategicMergePatchType, patch)); err != nil {
		return fmt.Errorf("write condition %s of node %s: %w", want.Type, own.Name, err)
	}
	l.e.Log.Info("Node condition written", "type", want.Type, "status", want.Status, "reason", want.Reason)
	return nil
}

// condition is NetworkUnavailable for a verdict of the prober.
func condition(verdict error, now time.Time) corev1.NodeCondition {
	c := corev1.NodeCondition{
		Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionFalse,
		Reason: model.ReasonNodeReachable, Message: "the gateway of the join subnet answers",
		LastHeartbeatTime: metav1.NewTime(now), LastTransitionTime: metav1.NewTime(now),
	}
	if verdict != nil {
		c.Status, c.Reason, c.Message = corev1.ConditionTrue, model.ReasonNodeUnreachable, verdict.Error()
	}
	return c
}

// bare is the object that a patch is sent for: the response overwrites it, and the cached one is shared.
func bare(n *corev1.Node) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name}}
}
