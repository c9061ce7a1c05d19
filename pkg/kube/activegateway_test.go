// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
)

func TestCauseOfMove(t *testing.T) {
	selectors := []metav1.LabelSelector{{MatchLabels: map[string]string{"role": "edge"}}}
	w := &Writer{lost: func(node string) bool { return node == "silent" }}
	for _, c := range []struct {
		node   string
		spec   v1.SubnetSpec
		text   string
		failed bool
	}{
		{"silent", v1.SubnetSpec{GatewayNode: "silent,b"}, "the heartbeat of silent is lost", true},
		{"a", v1.SubnetSpec{GatewayNode: "b,a:192.0.2.9"}, "node a is not ready", true},
		{"a", v1.SubnetSpec{GatewayNodeSelectors: selectors}, "node a is not ready, or not selected any more", true},
		{"a", v1.SubnetSpec{GatewayNode: "b"}, "node a is not a gateway node any more", false},
	} {
		if text, failed := w.cause(&v1.Subnet{Spec: c.spec}, c.node); text != c.text || failed != c.failed {
			t.Errorf("%+v: %q, failed %v", c.spec, text, failed)
		}
	}
}
