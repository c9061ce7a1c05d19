// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
)

// until runs the loop turn by turn until something is written that begins so, and returns the end of that write, which
// has not come yet.
func (b *harness) until(t *testing.T, written string) (end []func()) {
	t.Helper()
	seen := false
	b.observe = func(what string) { seen = seen || strings.HasPrefix(what, written) }
	defer func() { b.observe, b.turns = nil, 0 }()
	for range 20 {
		b.turns = 1
		b.converge()
		if seen {
			end, b.events = b.events, nil
			return end
		}
	}
	t.Fatalf("%s is not written: %v", written, b.written)
	return nil
}

// A pod that is created while the record of its predecessor is being released does not get that address: soon it will
// be free for others.
func TestRecreatedPodWhileAddressIsReleased(t *testing.T) {
	b := harnessIn(t, "pods")
	r := ref(model.KindPod, "default", "a")
	b.set(r, nil)
	end := b.until(t, "compile.Release {IP:a.default")
	before := len(b.written)
	again := recreated(pod("default", "a", "n1"))
	b.set(r, again)
	b.converge()
	for _, w := range b.written[before:] {
		if strings.HasPrefix(w, "compile.Annotate {Object:Pod/default/a ") {
			t.Errorf("while its record is released the pod is annotated with %s", w)
		}
	}
	b.events = end
	b.converge()
	if p, _ := b.objects[r].(*model.Pod); len(p.NICs[0].Written) == 0 || port(b, "a.default") == nil || p.UID != again.UID {
		t.Errorf("the pod is %+v", p)
	}
	b.compare("a recreated pod")
}

// scarce is a cluster in which two of three pods have the two addresses that all of them want.
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

// The address of a running pod is not assigned to another one, however its record was lost; it is released when the pod
// is deleted.
func TestRunningPodKeepsItsAddressWithoutARecord(t *testing.T) {
	for name, lose := range map[string]func(*harness, model.Ref){
		"the record is taken away": func(b *harness, r model.Ref) { b.set(r, nil) },
		"the record is deleted while no controller runs": func(b *harness, r model.Ref) {
			delete(b.objects, r)
			b.restart()
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, holder, waiting := scarce(t)
			was, ops := addressOf(t, b, holder.Name+".default"), b.ops
			lose(b, ref(model.KindIP, "", holder.Name+".default"))
			b.converge()
			if now := addressOf(t, b, holder.Name+".default"); now != was || len(b.reports[waiting].Problems) == 0 {
				t.Errorf("it has %s, it had %s; the waiting pod has the problems %v", now, was, b.reports[waiting].Problems)
			}
			if b.ops != ops {
				t.Errorf("%d operations in the database", b.ops-ops)
			}
			b.set(holder, nil)
			b.converge()
			if now := addressOf(t, b, waiting.Name+".default"); now != was || len(b.reports[waiting].Problems) > 0 {
				t.Errorf("the waiting pod has %s and the problems %v", now, b.reports[waiting].Problems)
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
	b.converge()
	if len(b.reports[waiting].Problems) == 0 {
		t.Error("the address is given away while it is being recorded")
	}
	b.events = end
	b.converge()
	if now := addressOf(t, b, waiting.Name+".default"); now != was {
		t.Errorf("the waiting pod has %s, want %s", now, was)
	}
}

// A problem of a deleted pod is reported again for a recreated pod of the same name, even if the controller sees both
// events at once.
func TestRecreatedPodIsReportedAgain(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		b, _, waiting := scarce(t)
		first, _ := b.objects[waiting].(*model.Pod)
		b.set(waiting, nil)
		if !atOnce {
			b.converge()
			if problems := b.reports[waiting].Problems; len(problems) > 0 {
				t.Errorf("a pod that is gone has problems: %v", problems)
			}
		}
		delete(b.reports, waiting)
		b.set(waiting, recreated(first))
		b.converge()
		if !hasProblem(b, waiting, "none of the addresses 10.16.5.1..10.16.5.2 can be assigned") {
			t.Errorf("at once %v: problems are %v", atOnce, b.reports[waiting].Problems)
		}
	}
}

// The same applies to an object that does not parse.
func TestRecreatedInvalidPodIsReportedAgain(t *testing.T) {
	b := harnessIn(t, "pods")
	r := ref(model.KindPod, "default", "broken")
	for range 2 {
		b.parsed = map[model.Ref][]model.Problem{r: {{Reason: "PodInvalid", Message: "is wrong", Fatal: true}}}
		b.apply(r, nil)
		b.converge()
		if !hasProblem(b, r, "is wrong") {
			t.Errorf("problems are %v", b.reports[r].Problems)
		}
		b.parsed = nil
		b.apply(r, nil)
		b.converge()
		delete(b.reports, r)
	}
}

// Two records of one address: the older one has it, whichever is seen first; the pod of the other one has a problem,
// and gets the address once it is free.
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
	b.converge()
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
			if reported := hasProblem(b, r, "address 10.16.8.8 of subnet ovn-default belongs to IP "+served+".default"); reported != (name != served) {
				t.Errorf("%s: %s has the problems %v", step, name, b.reports[r].Problems)
			}
		}
	}
	only("at first", "2early")
	b.restart()
	b.converge()
	only("after a restart", "2early")
	b.set(ref(model.KindPod, "default", "2early"), nil)
	b.converge()
	if port(b, "1late.default") != nil {
		t.Error("a reservation is given away while its pod is not there")
	}
	b.set(ref(model.KindIP, "", "2early.default"), nil)
	b.converge()
	only("when it is free", "1late")
}

// What the controller changes itself is not called a change by others, even if the echo of its last change comes at the
// same moment.
func TestOwnChangesAreNoDrift(t *testing.T) {
	b := harnessIn(t, "nodes")
	r := ref(model.KindPod, "default", "a")
	b.set(r, pod("default", "a", "n1"))
	for b.turns = 1; port(b, "a.default") == nil; {
		b.converge()
	}
	b.turns = 0
	b.set(r, nil) // the echo of the port's row has not come yet
	b.converge()
	if port(b, "a.default") != nil || len(b.drift) > 0 {
		t.Errorf("drift in %v", b.drift)
	}
}

// forged is a pod that was created with annotations that only the controller writes.
func forged(address, mac string) *model.Pod {
	return changed(pod("default", "forged", "n1"), func(p *model.Pod) {
		p.NICs[0].Written = map[string]string{
			annotations.Allocated: "true", annotations.Routed: "true", annotations.IPAddress: address, annotations.MACAddress: mac,
			annotations.CIDR: "10.16.0.0/16", annotations.Gateway: "10.16.0.1", annotations.LogicalSwitch: "ovn-default", annotations.LogicalRouter: "ovn-cluster",
		}
	})
}

// A tenant creates a pod with annotations that say that it has the address or the MAC address of something else: it
// gets another address, and its annotations are overwritten, also if the controller is restarted meanwhile.
func TestForgedAnnotationsProveNothing(t *testing.T) {
	victim := record(t, harnessIn(t, "pods"), "a.default")
	router := model.GatewayMAC("ovn-cluster", "ovn-default")
	for name, forgery := range map[string]*model.Pod{
		"gateway":                 forged("10.16.0.1", "02:00:00:00:00:01"),
		"MAC of the router":       forged("10.16.0.77", router),
		"address of a pod":        forged(model.AddrsText(victim.Addrs), "02:00:00:00:00:01"),
		"MAC of a pod":            forged("10.16.0.77", victim.MAC),
		"free address":            forged("10.16.0.77", "02:00:00:00:00:01"),
		"address of another user": forged("192.168.70.10", "02:00:00:00:00:01"),
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %t", name, restart), func(t *testing.T) {
				b := harnessIn(t, "pods")
				r := ref(model.KindPod, "default", "forged")
				b.objects[r] = forgery
				if restart {
					b.restart()
				} else {
					b.apply(r, forgery)
				}
				b.converge()
				ip, row := record(t, b, "forged.default"), port(b, "forged.default")
				written := forgery.NICs[0].Carried()
				if ip.Addrs == written.Addrs || ip.MAC == written.MAC || row == nil || row.Addresses[0] != ip.MAC+" "+model.AddrsText(ip.Addrs) {
					t.Errorf("the record has %s %s, the port is %+v", ip.MAC, model.AddrsText(ip.Addrs), row)
				}
				if now, _ := b.objects[r].(*model.Pod); now.NICs[0].Carried().Addrs != ip.Addrs || now.NICs[0].Carried().MAC != ip.MAC {
					t.Errorf("the annotations are %v", now.NICs[0].Written)
				}
				if row := port(b, "a.default"); row == nil || record(t, b, "a.default").MAC != victim.MAC {
					t.Errorf("the victim's port is %+v", row)
				}
			})
		}
	}
}

// Records and the northbound database are lost together: a running pod keeps its address if the kubelet confirms it,
// but not that of another pod, nor one outside of its Subnet.
func TestStatusConfirmsAnnotations(t *testing.T) {
	for name, c := range map[string]struct {
		confirmed bool
		address   string
		kept      bool
	}{
		"confirmed":          {true, "10.16.0.77", true},
		"not confirmed":      {false, "10.16.0.77", false},
		"of another pod":     {true, model.AddrsText(record(t, harnessIn(t, "pods"), "a.default").Addrs), false},
		"gateway":            {true, "10.16.0.1", false},
		"outside the Subnet": {true, "10.99.0.1", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := harnessIn(t, "pods")
			running := changed(forged(c.address, "02:00:00:00:00:77"), func(p *model.Pod) {
				p.NICs = slices.Clone(p.NICs)
				p.NICs[0].Confirmed = c.confirmed
			})
			b.objects[ref(model.KindPod, "default", "forged")] = running
			b.restart()
			b.converge()
			if got := addressOf(t, b, "forged.default"); (got == c.address) != c.kept {
				t.Errorf("it has %s", got)
			}
		})
	}
}

// A pod whose annotations were changed by others keeps the address that its port has, even if its record is lost.
func TestChangedAnnotationsDoNotMoveAPodWithoutARecord(t *testing.T) {
	for _, restart := range []bool{false, true} {
		b := harnessIn(t, "pods")
		r := ref(model.KindPod, "default", "a")
		was := record(t, b, "a.default")
		old, _ := b.objects[r].(*model.Pod)
		b.objects[r] = changed(old, func(p *model.Pod) {
			p.NICs = slices.Clone(p.NICs)
			p.NICs[0].Written = maps.Clone(p.NICs[0].Written)
			p.NICs[0].Written[annotations.IPAddress] = "10.16.0.99"
		})
		delete(b.objects, ref(model.KindIP, "", "a.default"))
		if restart {
			b.restart()
		} else {
			b.apply(ref(model.KindIP, "", "a.default"), nil)
			b.apply(r, b.objects[r])
		}
		b.converge()
		if now := record(t, b, "a.default"); now.Addrs != was.Addrs || now.MAC != was.MAC {
			t.Errorf("restart %t: it has %s %s, had %s %s", restart, model.AddrsText(now.Addrs), now.MAC, model.AddrsText(was.Addrs), was.MAC)
		}
	}
}
