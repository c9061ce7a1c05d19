// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/test/nbtest"
)

var withoutPorts = []client.Table{
	{Name: nb.LogicalSwitchTable, Except: []string{"ports"}}, {Name: nb.LogicalSwitchPortTable},
}

// fill puts n ports into one switch, 500 per transaction.
func fill(b *testing.B, db *client.DB, n int) {
	b.Helper()
	sw := testUUID(-1)
	commit(b, db, insertSwitch(sw, "ovn-default"))
	const batch = 500
	for first := 0; first < n; first += batch {
		var ops []ovsdb.Operation
		var ids []string
		for i := first; i < min(first+batch, n); i++ {
			ids = append(ids, testUUID(i))
			ops = append(ops, insertPort(testUUID(i), fmt.Sprintf("pod-%d.default", i), ""))
		}
		commit(b, db, append(ops, attachPort(sw, ids...))...)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkInitialDump measures a client's start with a large database: the time until it is synced, the heap of the
// cache, and the bytes allocated meanwhile.
func BenchmarkInitialDump(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("ports=%d", n), func(b *testing.B) {
			server := nbtest.Start(b)
			fill(b, server.Client(b, client.Table{Name: nb.LogicalSwitchTable, Except: []string{"ports"}}), n)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				before := heap()
				b.StartTimer()
				begin := time.Now()
				db := server.Client(b, withoutPorts...)
				b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms-to-sync")
				b.StopTimer()
				b.ReportMetric(float64(heap()-before)/float64(n), "heap-bytes/port")
				if got := db.Len(nb.LogicalSwitchPortTable); got != n {
					b.Fatalf("cache has %d ports, want %d", got, n)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkAddPort measures adding a port to a switch with many ports, one transaction each.
func BenchmarkAddPort(b *testing.B) {
	const n = 50_000
	server := nbtest.Start(b)
	db := server.Client(b, withoutPorts...)
	fill(b, db, n)
	i := n
	for b.Loop() {
		i++
		commit(b, db, insertPort(testUUID(i), fmt.Sprintf("pod-%d.default", i), ""), attachPort(testUUID(-1), testUUID(i)))
	}
}
