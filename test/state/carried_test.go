package state

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/model"
)

// until runs the loop turn by turn until something is written that begins so, and
// returns the end of that write, which has not come yet.
func (b *harness) until(t *testing.T, written string) (end []func()) {
	t.Helper()
	seen := false
	b.observe = func(what string) { seen = seen || strings.HasPrefix(what, written) }
	defer func() { b.observe, b.turns = nil, 0 }()
	for range 20 {
		b.turns = 1
		b.settle()
		if seen {
			end, b.news = b.news, nil
			return end
		}
	}
	t.Fatalf("%s is not written: %v", written, b.written)
	return nil
}

// A pod that comes while the record of its predecessor is being released is not
// told that address: soon it will be free for others.
func TestNamesakeOfAPodWhoseAddressGoes(t *testing.T) {
	b := harnessIn(t, "pods")
	r := ref(model.KindPod, "default", "a")
	b.set(r, nil)
	end := b.until(t, "compile.Release {IP:a.default")
	before := len(b.written)
	again := anew(pod("default", "a", "n1"))
	b.set(r, again)
	b.settle()
	for _, w := range b.written[before:] {
		if strings.HasPrefix(w, "compile.Annotate {Object:Pod/default/a ") {
			t.Errorf("while its record goes the pod is told %s", w)
		}
	}
	b.news = end
	b.settle()
	if p, _ := b.objects[r].(*model.Pod); len(p.NICs[0].Written) == 0 || port(b, "a.default") == nil || p.UID != again.UID {
		t.Errorf("the pod is %+v", p)
	}
	b.compare("a namesake")
}

// scarce is a cluster in which two of three pods have the two addresses that all
// of them want.
func scarce(t *testing.T) (b *harness, holder, waiting model.Ref) {
	t.Helper()
	b = harnessIn(t, "listed addresses")
	for _, name := range []string{"l1", "l2", "l3"} {
		if r := ref(model.KindPod, "default", name); len(b.reports[r].Problems) > 0 {
			waiting = r
		} else {
			holder = r
		}
	}
	return b, holder, waiting
}

// The address of a running pod is given to nobody, however its record was lost;
// when the pod goes, the address is free.
func TestRunningPodKeepsItsAddressWithoutARecord(t *testing.T) {
	for name, lose := range map[string]func(*harness, model.Ref){
		"the record is taken away": func(b *harness, r model.Ref) { b.set(r, nil) },
		"the record is taken away while nobody looks": func(b *harness, r model.Ref) {
			delete(b.objects, r)
			b.restart()
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, holder, waiting := scarce(t)
			was, ops := addressOf(t, b, holder.Name+".default"), b.ops
			lose(b, ref(model.KindIP, "", holder.Name+".default"))
			b.settle()
			if now := addressOf(t, b, holder.Name+".default"); now != was || len(b.reports[waiting].Problems) == 0 {
				t.Errorf("it has %s, it had %s; who waits is told %v", now, was, b.reports[waiting].Problems)
			}
			if b.ops != ops {
				t.Errorf("%d operations in the database", b.ops-ops)
			}
			b.set(holder, nil)
			b.settle()
			if now := addressOf(t, b, waiting.Name+".default"); now != was || len(b.reports[waiting].Problems) > 0 {
				t.Errorf("who waited has %s and is told %v", now, b.reports[waiting].Problems)
			}
		})
	}
}

// A pod that goes before its lost record is there again leaves nothing behind.
func TestPodGoesBeforeItsRecordIsBack(t *testing.T) {
	b, holder, waiting := scarce(t)
	name := holder.Name + ".default"
	was := addressOf(t, b, name)
	b.set(ref(model.KindIP, "", name), nil)
	end := b.until(t, "compile.Claim {Request:{Owner:IP//"+name)
	b.set(holder, nil)
	b.settle()
	if len(b.reports[waiting].Problems) == 0 {
		t.Error("the address is given away while it is being recorded")
	}
	b.news = end
	b.settle()
	if now := addressOf(t, b, waiting.Name+".default"); now != was {
		t.Errorf("who waits has %s, want %s", now, was)
	}
}

// What was told of a pod that is gone is news for its namesake, even if the
// controller sees both at once.
func TestNamesakeIsToldAgain(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		b, _, waiting := scarce(t)
		first, _ := b.objects[waiting].(*model.Pod)
		b.set(waiting, nil)
		if !atOnce {
			b.settle()
			if problems := b.reports[waiting].Problems; len(problems) > 0 {
				t.Errorf("a pod that is gone has problems: %v", problems)
			}
		}
		delete(b.reports, waiting)
		b.set(waiting, anew(first))
		b.settle()
		if !hasProblem(b, waiting, "none of the addresses 10.16.5.1..10.16.5.2 can be assigned") {
			t.Errorf("at once %v: problems are %v", atOnce, b.reports[waiting].Problems)
		}
	}
}

// An object that cannot be read is no different in this.
func TestNamesakeOfAnInvalidPodIsToldAgain(t *testing.T) {
	b := harnessIn(t, "pods")
	r := ref(model.KindPod, "default", "broken")
	for range 2 {
		b.parsed = map[model.Ref][]model.Problem{r: {{Reason: "PodInvalid", Message: "is wrong", Fatal: true}}}
		b.apply(r, nil)
		b.settle()
		if !hasProblem(b, r, "is wrong") {
			t.Errorf("problems are %v", b.reports[r].Problems)
		}
		b.parsed = nil
		b.apply(r, nil)
		b.settle()
		delete(b.reports, r)
	}
}

// Two records of one address: the older one has it, whichever is seen first; the
// pod of the other is told, and has the address once it is free.
func TestTwoRecordsOfOneAddress(t *testing.T) {
	for _, order := range [][]string{
		{"1late", "2early", "3last"},
		{"1late", "3last", "2early"},
		{"2early", "1late", "3last"},
		{"2early", "3last", "1late"},
		{"3last", "1late", "2early"},
		{"3last", "2early", "1late"},
	} {
		t.Run(strings.Join(order, " "), func(t *testing.T) { recordsOfOneAddress(t, order) })
	}
}

func recordsOfOneAddress(t *testing.T, order []string) {
	b := harnessIn(t, "pods")
	reserve := func(name string, created int64) {
		b.set(ref(model.KindIP, "", name+".default"), &model.IP{
			Meta: model.Meta{Name: name + ".default", UID: "ip-" + name, Created: created}, Subnet: "ovn-default", PodName: name, Namespace: "default",
			Addrs: model.Addrs{V4: netip.MustParseAddr("10.16.8.8")}, MAC: "02:00:00:00:00:8" + name[:1], Reserved: true,
		})
	}
	created := map[string]int64{"1late": 90, "2early": 80, "3last": 99}
	for _, name := range order {
		reserve(name, created[name])
	}
	for _, name := range []string{"1late", "2early", "3last"} {
		b.set(ref(model.KindPod, "default", name), pod("default", name, "n1"))
	}
	b.settle()
	only := func(step, served string) {
		t.Helper()
		for _, name := range []string{"1late", "2early", "3last"} {
			r := ref(model.KindPod, "default", name)
			if b.objects[r] == nil {
				continue
			}
			if has := port(b, name+".default") != nil; has != (name == served) {
				t.Errorf("%s: %s has a port: %v", step, name, has)
			}
			if told := hasProblem(b, r, "address 10.16.8.8 of subnet ovn-default belongs to IP "+served+".default"); told != (name != served) {
				t.Errorf("%s: %s is told %v", step, name, b.reports[r].Problems)
			}
		}
	}
	only("at first", "2early")
	b.restart()
	b.settle()
	only("after a restart", "2early")
	b.set(ref(model.KindPod, "default", "2early"), nil)
	b.settle()
	if port(b, "1late.default") != nil {
		t.Error("a reservation is given away while its pod is not there")
	}
	b.set(ref(model.KindIP, "", "2early.default"), nil)
	b.settle()
	only("when it is free", "1late")
}

// What the controller changes itself is not called a change by others, even if the
// echo of its last change comes at the same moment.
func TestOwnChangesAreNoDrift(t *testing.T) {
	b := harnessIn(t, "nodes")
	r := ref(model.KindPod, "default", "a")
	b.set(r, pod("default", "a", "n1"))
	for b.turns = 1; port(b, "a.default") == nil; {
		b.settle()
	}
	b.turns = 0
	b.set(r, nil) // the echo of the port's row has not come yet
	b.settle()
	if port(b, "a.default") != nil || len(b.drift) > 0 {
		t.Errorf("drift in %v", b.drift)
	}
}
