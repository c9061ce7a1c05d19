// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/test/nbtest"
)

// transaction is the effect of one transaction on ports; nil is a deleted port.
type transaction struct {
	Ports map[string]*struct {
		Addresses json.RawMessage `json:"addresses"`
	} `json:"Logical_Switch_Port"`
	Diff bool `json:"_is_diff"`
}

// readLog reads the file of a database, which is a log of all transactions (ovsdb(5)).
func readLog(t *testing.T, s *nbtest.Server, each func(transaction)) {
	t.Helper()
	file := filepath.Join(filepath.Dir(strings.TrimPrefix(s.Endpoint(), "unix:")), "db")
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<26)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "OVSDB ") {
			continue // header with a checksum
		}
		var one transaction
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		each(one)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// portDeletions counts how often a port was deleted.
func portDeletions(t *testing.T, s *nbtest.Server, uuid string) (n int) {
	t.Helper()
	readLog(t, s, func(one transaction) {
		if row, ok := one.Ports[uuid]; ok && row == nil {
			n++
		}
	})
	return n
}

// replayPorts replays the log and checks that after no transaction two ports share an address.
func replayPorts(t *testing.T, s *nbtest.Server) {
	t.Helper()
	rows, l, count, held := map[string][]string{}, newHolders(), 0, 0
	readLog(t, s, func(one transaction) {
		count++
		for uuid, row := range one.Ports {
			l.enter(moment{name: uuid, gone: true})
			if row == nil {
				delete(rows, uuid)
			} else if row.Addresses != nil {
				rows[uuid] = combine(t, rows[uuid], row.Addresses, one.Diff)
			}
		}
		for uuid, row := range one.Ports {
			if row == nil {
				continue
			}
			held += len(addressesOf(rows[uuid]))
			for _, wrong := range l.enter(moment{name: uuid, addrs: strings.Join(addressesOf(rows[uuid]), ",")}) {
				t.Errorf("transaction %d: %s", count, wrong)
			}
		}
	})
	if held == 0 {
		t.Errorf("%d transactions, and no port has an address", count)
	}
}

// combine returns the new value of a set, which the log has either complete or as a difference (ovsdb-server(7)).
func combine(t *testing.T, old []string, raw json.RawMessage, diff bool) []string {
	t.Helper()
	var set ovsdb.OvsSet
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	var now []string
	for _, v := range set.GoSet {
		now = append(now, fmt.Sprint(v))
	}
	if !diff {
		return now
	}
	in := func(list []string) func(string) bool {
		return func(v string) bool { return slices.Contains(list, v) }
	}
	return append(slices.DeleteFunc(slices.Clone(old), in(now)), slices.DeleteFunc(slices.Clone(now), in(old))...)
}

// addressesOf are the IP addresses of a port, "<MAC> <IP>…" each; those of routers have none.
func addressesOf(port []string) (out []string) {
	for _, a := range port {
		if fields := strings.Fields(a); len(fields) > 1 {
			out = append(out, fields[1:]...)
		}
	}
	return out
}
