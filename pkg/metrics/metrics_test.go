// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
)

var (
	_ engine.Observer = (*Metrics)(nil)
	_ kube.Observer   = (*Metrics)(nil)
)

func TestEveryMetricIsExported(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := New(registry)
	if err != nil {
		t.Fatal(err)
	}
	m.Woken(model.KindSubnet, 3)
	m.Compiled(model.KindPod, 2e-5)
	m.Committed(12, 4, 0.01, nil)
	m.Committed(1, 1, 0.01, errors.New("refused"))
	m.Drift("Logical_Switch")
	m.Connected(true)
	m.Lead(true)
	m.Epoch(7)
	m.Compared()
	m.Wrote("IP", "create", "ok")
	m.SubnetUsed("a", "IPv4", "10.0.0.0/24", 4, 249)
	m.SubnetUsed("b", "IPv4", "10.0.1.0/24", 1, 252)
	m.SubnetGone("b")
	want := `
# HELP subnet_available_ip_count Addresses of the subnet that can still be allocated.
# TYPE subnet_available_ip_count gauge
subnet_available_ip_count{protocol="IPv4",subnet_cidr="10.0.0.0/24",subnet_name="a"} 249
# HELP woven_api_writes_total Writes to the API server by kind, verb and result (ok, or the reason of the error).
# TYPE woven_api_writes_total counter
woven_api_writes_total{kind="IP",result="ok",verb="create"} 1
# HELP woven_commit_operations_total Operations sent to the northbound database.
# TYPE woven_commit_operations_total counter
woven_commit_operations_total 13
# HELP woven_full_comparisons_total Full comparisons with the northbound database: after a start, a reconnect and a change of leader.
# TYPE woven_full_comparisons_total counter
woven_full_comparisons_total 1
# HELP woven_epoch Epoch with which this process fences its writes to the northbound database.
# TYPE woven_epoch gauge
woven_epoch 7
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want),
		"subnet_available_ip_count", "woven_api_writes_total", "woven_commit_operations_total", "woven_epoch", "woven_full_comparisons_total"); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, "subnet_") { // names that dashboards know
			t.Errorf("lint: %s: %s", p.Metric, p.Text)
		}
	}
	if _, err := New(registry); err == nil {
		t.Error("a second registration must fail")
	}
}
