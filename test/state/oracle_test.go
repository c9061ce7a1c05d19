// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"github.com/wovensdn/woven/pkg/commit"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/plan"
	"github.com/wovensdn/woven/test/nbtest"
)

// compare holds the database against the oracle and the addresses against each other.
func (b *harness) compare(when string) {
	b.t.Helper()
	oracle := b.oracle()
	if want, got := dump(oracle.db), dump(b.db); want != got {
		b.t.Fatalf("%s: the database differs from what a fresh controller makes of it:\n%s", when, nbtest.Diff(want, got))
	}
	if oracle.writes > 0 {
		b.t.Fatalf("%s: a fresh controller finds writes left to do: %v", when, oracle.written)
	}
	b.addresses(when)
	for ref, r := range b.reports {
		if _, exists := b.objects[ref]; exists && r.Generation != 0 && r.Generation != b.generations[ref] {
			b.t.Errorf("%s: the last report of %s is about generation %d of its spec, not %d", when, ref, r.Generation, b.generations[ref])
		}
	}
}

// oracle is a fresh controller that has made of the same objects what it makes in an empty database.
func (b *harness) oracle() *harness {
	b.t.Helper()
	oracle := newModelHarness(b.t)
	oracle.config, oracle.kinds, oracle.extend = b.config, b.kinds, b.extend
	oracle.objects = maps.Clone(b.objects)
	oracle.restart()
	oracle.converge()
	return oracle
}

func dump(db nbtest.Source) string {
	return nbtest.Dump(db, nbtest.Without(nb.NBGlobalTable))
}

// addresses: every pod that should have one has one, nobody has a record without a reason, and no address is given
// twice.
func (b *harness) addresses(when string) {
	b.t.Helper()
	holders := map[string]string{}
	for r, o := range b.objects {
		switch o := o.(type) {
		case *model.IP:
			b.record(when, holders, o)
		case *model.Pod:
			_, recorded := b.objects[ref(model.KindIP, "", o.PortName(""))]
			alive := o.Node != "" && !o.Completed && !o.HostNetwork
			if alive && !recorded && len(b.reports[r].Problems) == 0 {
				b.t.Fatalf("%s: pod %s has no address, and no problem says why", when, r)
			}
			if alive && recorded && len(b.reports[r].Problems) == 0 && o.NICs[0].Written["ovn.kubernetes.io/allocated"] != "true" {
				b.t.Fatalf("%s: pod %s is not annotated", when, r)
			}
		}
	}
}

func (b *harness) record(when string, holders map[string]string, ip *model.IP) {
	b.t.Helper()
	vpc := ""
	if s, ok := b.objects[ref(model.KindSubnet, "", ip.Subnet)].(*model.Subnet); ok {
		vpc = s.Vpc
	}
	for _, a := range []netip.Addr{ip.Addrs.V4, ip.Addrs.V6} {
		key := fmt.Sprint(vpc, a)
		if other, taken := holders[key]; a.IsValid() && taken {
			b.t.Fatalf("%s: %s is given to %s and to %s", when, a, ip.Name, other)
		}
		holders[key] = ip.Name
	}
	holder := ref(model.KindPod, ip.Namespace, ip.PodName)
	if ip.PodType == "VirtualMachine" {
		holder = ref(model.KindVirtualMachine, ip.Namespace, ip.PodName)
		for r, o := range b.objects {
			if p, ok := o.(*model.Pod); ok && p.VM == ip.PodName && p.Namespace == ip.Namespace && !p.Completed {
				holder = r
			}
		}
	}
	if ip.Namespace == "" {
		holder = ref(model.KindNode, "", ip.PodName)
	}
	if _, exists := b.objects[holder]; !exists && !b.kept(ip) {
		b.t.Fatalf("%s: IP %s is recorded for %s, which does not exist", when, ip.Name, holder)
	}
}

// kept reports whether a record outlives its pod.
func (b *harness) kept(ip *model.IP) bool {
	name, ordinal, ok := model.OrdinalOf(ip.PodName)
	set, exists := b.objects[ref(model.KindStatefulSet, ip.Namespace, name)].(*model.StatefulSet)
	return ok && exists && ip.PodType == "StatefulSet" && ip.OwnerUID == set.UID && set.Makes(ordinal)
}

// mustBeFenced: what a paused leader wants to write is refused, and nothing changes.
func (b *harness) mustBeFenced(units []plan.Unit) {
	b.t.Helper()
	before := dump(b.db)
	out := commit.Commit(b.t.Context(), b.db, b.fence, units)
	if !errors.Is(out.Err, commit.ErrFenced) {
		b.t.Fatalf("the paused leader is not fenced off: %v", out.Err)
	}
	if after := dump(b.db); after != before {
		b.t.Fatalf("the paused leader has changed the database:\n%s", nbtest.Diff(before, after))
	}
}
