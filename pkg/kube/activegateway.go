// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/model"
)

// setGateway records the active gateway nodes of a subnet in its status: one request. A subnet that no longer exists
// needs none.
func (w *Writer) setGateway(g compile.SetGateway, done func(error)) {
	ref := g.Target()
	w.write(ref, done, func(ctx context.Context) error {
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"uid": g.UID},
			"status":   map[string]any{"activateGateway": g.Nodes},
		})
		if err != nil {
			w.in.failed(ref)
			return fmt.Errorf("set gateway of %s: %w", ref, err)
		}
		k := w.kinds[ref.Kind]
		before, _ := w.in.object(ref).(*v1.Subnet)
		o := named(k, ref)
		err = w.observe(k.Name+"/status", "patch", w.client.Status().Patch(ctx, o, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(fieldManager)))
		if err == nil && before != nil {
			w.moved(ref, before, g.Nodes)
		}
		return w.patched(k, ref, o, "set gateway of", err)
	})
}

// ExplainBy sets the function that reports whether a node's heartbeat is lost, for events of moved gateways. Call it
// before Start.
func (w *Writer) ExplainBy(lost func(node string) bool) { w.lost = lost }

// moved emits an event if a subnet's gateway has moved to other nodes. Neither the first choice nor the end of the
// centralized type is a move.
func (w *Writer) moved(ref model.Ref, before *v1.Subnet, nodes string) {
	from := before.Status.ActivateGateway
	if from == "" || nodes == "" || from == nodes {
		return
	}
	eventType, causes := corev1.EventTypeNormal, []string(nil)
	now := strings.Split(nodes, ",")
	for left := range strings.SplitSeq(from, ",") {
		if slices.Contains(now, left) {
			continue
		}
		cause, failed := w.cause(before, left)
		causes = append(causes, cause)
		if failed {
			eventType = corev1.EventTypeWarning
		}
	}
	text := fmt.Sprintf("traffic leaves through %s instead of %s", nodes, from)
	if len(causes) > 0 {
		text += ": " + strings.Join(causes, ", ")
	}
	k := w.kinds[ref.Kind]
	w.events.Event(&corev1.ObjectReference{
		Kind: string(ref.Kind), APIVersion: apiVersionOf(k), Name: ref.Name, UID: before.UID,
	}, eventType, model.ReasonGatewayMoved, clip(text))
}

// cause returns why a node is no longer the gateway, and whether that is a failure of the node.
func (w *Writer) cause(s *v1.Subnet, node string) (text string, failed bool) {
	egress, _ := model.EgressFrom(s)
	named := slices.ContainsFunc(egress.GatewayNodes, func(g model.GatewayNode) bool { return g.Name == node })
	switch {
	case w.lost(node):
		return "the heartbeat of " + node + " is lost", true
	case named:
		return "node " + node + " is not ready", true
	case len(s.Spec.GatewayNodeSelectors) > 0:
		return "node " + node + " is not ready, or not selected any more", true
	default:
		return "node " + node + " is not a gateway node any more", false
	}
}
