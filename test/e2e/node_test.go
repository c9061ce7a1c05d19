// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
)

// A deleted Node leaves nothing in OVN. When kubelet registers it again, pods on it work.
func TestNodeLeavesAndReturns(t *testing.T) {
	te := begin(t, shared)
	te.consistent(convergeTimeout)
	before := te.inventory()
	namespace := te.namespace("moving", nil)
	te.create(te.newPod(namespace, "stays", "n1", nil))
	te.create(te.newPod(namespace, "goes", "n2", nil))
	te.ready(namespace, 2, 30*time.Second)

	start := time.Now()
	te.must(te.api.Delete(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}}), "delete node")
	te.wait(10*time.Second, "nothing of node n2 is in the northbound database", func(context.Context) string {
		return strings.Join(te.rowsOfNode("n2"), ", ")
	})
	te.say("Node n2 deleted: its rows are gone within %.1f s", time.Since(start).Seconds())
	te.wait(10*time.Second, "the IP object of node n2 is gone", func(ctx context.Context) string {
		state, err := te.count(ctx)
		if err != nil {
			return err.Error()
		}
		if now := state["API IP"]; now > before["API IP"]+1 {
			return fmt.Sprintf("%d IP objects, %d before", now, before["API IP"])
		}
		return ""
	})
	te.must(te.cluster.Restart(t.Context(), "kubelet", 2), "restart kubelet")
	te.wait(60*time.Second, "node n2 is ready again", func(ctx context.Context) string {
		var node corev1.Node
		if err := te.api.Get(ctx, client.ObjectKey{Name: "n2"}, &node); err != nil {
			return err.Error()
		}
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				return ""
			}
		}
		return "it is not Ready"
	})
	te.say("node n2 is back and Ready after %.1f s", time.Since(start).Seconds())
	// Kubernetes' pod garbage collection would delete the pod only later.
	te.remove(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "goes"}})
	te.create(te.newPod(namespace, "new", "n2", nil))
	te.becomes(namespace, "new", 60*time.Second)
	pods := te.ready(namespace, 2, 10*time.Second)
	te.pairs(pods)
	te.egressWorks(pods, false)
	te.nodesAndPods(pods)
	te.consistent(convergeTimeout)
}

// rowsOfNode lists rows of ours that a Node owns.
func (t *test) rowsOfNode(name string) (names []string) {
	for _, table := range fact.Tables() {
		eachRow(t.sources.NB, table.Name, func(uuid string, row any) bool {
			if owner, ours := table.OwnerOf(row); ours && owner.Kind == model.KindNode && owner.Name == name {
				names = append(names, table.Name+" "+table.RowName(row)+" "+uuid)
			}
			return true
		})
	}
	return names
}
