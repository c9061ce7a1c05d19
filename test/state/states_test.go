package state

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/test/modeldb"
)

func sortedRefs[V any](m map[model.Ref]V) []model.Ref {
	return slices.SortedFunc(maps.Keys(m), func(a, b model.Ref) int { return cmp.Compare(a.String(), b.String()) })
}

func TestSmoke(t *testing.T) {
	db := modeldb.New(t)
	b := newBed(t, db)
	db.Changed = func(table, uuid string) { b.changed = append(b.changed, refOf(table, uuid)) }
	b.set(ref(model.KindVpc, "", "ovn-cluster"), vpc("ovn-cluster"))
	b.set(ref(model.KindSubnet, "", "ovn-default"), subnet("ovn-default", "10.16.0.0/16"))
	b.set(ref(model.KindSubnet, "", "join"), subnet("join", "100.64.0.0/16"))
	b.set(ref(model.KindNamespace, "", "default"), namespace("default"))
	b.set(ref(model.KindNode, "", "n1"), node("n1", "192.168.77.11"))
	b.set(ref(model.KindPod, "default", "a"), pod("default", "a", "n1"))
	b.settle()
	t.Log(b.ops, b.txns, b.writes)
	for r, row := range db.Snapshot() {
		t.Logf("%s %+v", r.Table, row)
	}
	for r, rep := range b.reports {
		t.Logf("%s %+v", r, rep)
	}
	b.set(ref(model.KindPod, "default", "a"), nil)
	b.set(ref(model.KindNode, "", "n1"), nil)
	b.settle()
	for r := range db.Snapshot() {
		t.Logf("%s", r.Table)
	}
	t.Log(sortedRefs(b.objects))
}
