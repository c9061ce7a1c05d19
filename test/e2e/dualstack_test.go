// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	"github.com/wovensdn/woven/pkg/sandbox"
)

// In a dual-stack sandbox, pods have an address of each IP family and are reached by both.
func TestDualStack(t *testing.T) {
	te := alone(t, sandbox.Options{Name: sandboxName("e2e6")})
	before := te.inventory()
	namespace := te.namespace("both", nil)
	te.spread(namespace, 4)
	pods := te.ready(namespace, 4, 60*time.Second)
	for i := range pods {
		if len(pods[i].Status.PodIPs) != 2 {
			t.Errorf("pod %s has addresses %v, want two", pods[i].Name, pods[i].Status.PodIPs)
		}
	}
	te.pairs(pods)
	te.nodesAndPods(pods)
	te.egressWorks(pods, false)
	te.egressWorks(pods, true)
	te.consistent(10 * time.Second)
	te.nothingLeft(before, namespace)
	te.egressAddresses("10.70.0.0/24,fd00:10:70::/112")
	te.egressRules("10.71.0.0/24,fd00:10:71::/112")
	te.egressByRouter("10.72.0.0/24,fd00:10:72::/112")
	te.northGateway("10.76.0.0/24,fd00:10:76::/112")
	te.liveGateway("10.73.0.0/24,fd00:10:73::/112")
}
