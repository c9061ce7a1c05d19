// SPDX-License-Identifier: Apache-2.0

package nft_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// What a node forwards is counted for each subnet, family and direction; counts outlive changes of other things.
func TestTraffic(t *testing.T) {
	w := newWire(t)
	d := &nft.Driver{}
	read := func() (counts map[string]nft.Count) {
		w.node.Do(func() {
			var err error
			if counts, err = d.Counters(t.Context(), hostplan.TableName); err != nil {
				t.Error(err)
			}
		})
		return counts
	}
	if counts := read(); len(counts) != 0 {
		t.Errorf("before there is a table: %v", counts)
	}
	w.apply(d, hostplan.Subnet{NATOutgoing: true})
	const headers4, headers6 = 20 + 8, 40 + 8
	for range 3 {
		w.seen(outside4)
	}
	w.seen(outside6)
	// The pod asks with one byte and gets the source address that arrived.
	answer4, answer6 := uint64(headers4+len(nodeOut4.String())), uint64(headers6+len(nodeOut6.String()))
	want := map[string]nft.Count{
		"egress4-pods": {Packets: 3, Bytes: 3 * (headers4 + 1)}, "ingress4-pods": {Packets: 3, Bytes: 3 * answer4},
		"egress6-pods": {Packets: 1, Bytes: headers6 + 1}, "ingress6-pods": {Packets: 1, Bytes: answer6},
	}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	w.apply(d, hostplan.Subnet{Centralized: true, NATOutgoing: true, Egress: gatewayNode("n1")})
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("after another setting: -want +got\n%s", diff)
	}
	w.node.Do(func() {
		if _, err := d.Apply(t.Context(), hostplan.Make(hostplan.Inputs{Node: hostplan.Node{Name: "n1"}}).Table); err != nil {
			t.Error(err)
		}
	})
	if counts := read(); len(counts) != 0 {
		t.Errorf("after the subnet has gone: %v", counts)
	}
}
