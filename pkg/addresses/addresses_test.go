// SPDX-License-Identifier: Apache-2.0

package addresses

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// virtual is a made-up kind that holds addresses besides IP objects.
type virtual struct {
	model.Meta
	Addr netip.Addr
}

const kindVirtual model.Kind = "Virtual"

func (v *virtual) AddressRecord() model.AddressRecord {
	ref := model.Ref{Kind: kindVirtual, Name: v.Name}
	return model.AddressRecord{
		Owner: ref, User: ref, Subnet: "s", Addrs: model.Addrs{V4: v.Addr}, Created: v.Created, Field: "spec.address",
	}
}

// harness is a registry on a world, and what its listener heard.
type harness struct {
	*Registry
	virtuals *world.Table[virtual]
	woken    []model.Ref
	retried  []model.Ref
	problems map[model.Ref][]model.Problem
}

func (h *harness) Wake(owners ...model.Ref) { h.woken = append(h.woken, owners...) }
func (h *harness) Retry(owner model.Ref)    { h.retried = append(h.retried, owner) }

func (h *harness) Problem(of model.Ref, problems ...model.Problem) { h.problems[of] = problems }

func newHarness(t *testing.T, cidr string) *harness {
	t.Helper()
	h := &harness{problems: map[model.Ref][]model.Problem{}}
	w := world.New()
	h.virtuals = world.AddTable[virtual](w, kindVirtual)
	h.Registry = New(w, h)
	Follow(h.Registry, h.virtuals)
	prefix := netip.MustParsePrefix(cidr)
	h.apply(t, model.Ref{Kind: model.KindSubnet, Name: "s"}, &model.Subnet{
		Meta: model.Meta{Name: "s"}, CIDR: model.Prefixes{V4: prefix}, Gateway: model.Addrs{V4: prefix.Addr().Next()},
	})
	return h
}

func (h *harness) apply(t *testing.T, ref model.Ref, object any) {
	t.Helper()
	if _, err := h.world.Apply(ref, object, false); err != nil {
		t.Fatal(err)
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func ipRef(name string) model.Ref { return model.Ref{Kind: model.KindIP, Name: name} }

func podNamed(name string) model.Ref {
	return model.Ref{Kind: model.KindPod, Namespace: "default", Name: name}
}

func (h *harness) ip(t *testing.T, name, address string, created int64) {
	t.Helper()
	h.apply(t, ipRef(name+".default"), &model.IP{
		Meta: model.Meta{Name: name + ".default", Created: created}, Subnet: "s", Addrs: model.Addrs{V4: addr(address)},
		PodName: name, Namespace: "default",
	})
}

func (h *harness) virtual(t *testing.T, name, address string, created int64) {
	t.Helper()
	h.apply(t, model.Ref{Kind: kindVirtual, Name: name}, &virtual{Meta: model.Meta{Name: name, Created: created}, Addr: addr(address)})
}

func claimOf(name string) compile.Claim {
	return compile.Claim{Subnets: []string{"s"}, Request: ipam.Request{Owner: ipRef(name + ".default")}, For: podNamed(name)}
}

// causes are why a record is contested, for the object that reads it.
func (h *harness) contestedBy(record model.Ref) (cause string) {
	h.world.Read(podNamed("reader"), func(v *world.View) { cause = v.Contested(record) })
	return cause
}

func TestOwnersOfAnyKindHoldAddresses(t *testing.T) {
	h := newHarness(t, "10.0.0.0/29")
	h.virtual(t, "ipv4", "10.0.0.2", 1)
	a, ok := h.Claim(podNamed("a"), claimOf("a"))
	if !ok || a.Addrs.V4 != addr("10.0.0.3") {
		t.Errorf("the claim gets %v, %t, want the address after the virtual one", a.Addrs.V4, ok)
	}
	virtualRef := model.Ref{Kind: kindVirtual, Name: "claims"}
	claim := claimOf("x")
	claim.Request.Owner = virtualRef
	if a, ok := h.Claim(virtualRef, claim); !ok || a.Owner != virtualRef {
		t.Errorf("a virtual address claims %v, %t", a, ok)
	}
}

func TestOlderRecordHasTheAddress(t *testing.T) {
	older, younger := model.Ref{Kind: kindVirtual, Name: "old"}, ipRef("young.default")
	for name, order := range map[string][]func(*harness){
		"older first":   {func(h *harness) { h.virtual(t, "old", "10.0.0.2", 1) }, func(h *harness) { h.ip(t, "young", "10.0.0.2", 2) }},
		"younger first": {func(h *harness) { h.ip(t, "young", "10.0.0.2", 2) }, func(h *harness) { h.virtual(t, "old", "10.0.0.2", 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, "10.0.0.0/29")
			for _, step := range order {
				step(h)
			}
			const cause = "address 10.0.0.2 of subnet s belongs to Virtual old"
			if got := h.contestedBy(younger); got != cause {
				t.Errorf("the younger record is contested because %q, want %q", got, cause)
			}
			if got := h.contestedBy(older); got != "" {
				t.Errorf("the older record is contested because %q", got)
			}
			want := model.Problem{Reason: model.ReasonAddressConflict, Field: "spec.ipAddress", Message: "IP young.default: " + cause}
			if got := h.problems[younger]; !slices.Equal(got, []model.Problem{want}) {
				t.Errorf("problems of the younger record: %v, want %v", got, want)
			}

			h.woken = nil
			h.apply(t, older, nil)
			if got := h.contestedBy(younger); got != "" || len(h.problems[younger]) > 0 {
				t.Errorf("after the older record is gone the younger one is contested because %q, problems %v", got, h.problems[younger])
			}
			if !slices.Contains(h.woken, podNamed("young")) {
				t.Errorf("woken are %v, want them to include the user of the younger record", h.woken)
			}
		})
	}
}

func TestClaimThatFindsNoAddressIsRetriedWhenOneIsReleased(t *testing.T) {
	h := newHarness(t, "10.0.0.0/30") // one address besides the gateway's
	h.ip(t, "a", "10.0.0.2", 1)
	if _, ok := h.Claim(podNamed("b"), claimOf("b")); ok {
		t.Fatal("a full subnet gives an address")
	}
	if got := h.problems[podNamed("b")]; len(got) != 1 || !strings.Contains(got[0].Message, "Pod default/b: subnet s has no free IPv4 address") {
		t.Errorf("problems are %v", got)
	}
	h.apply(t, ipRef("a.default"), nil)
	if !slices.Contains(h.retried, podNamed("b")) {
		t.Errorf("retried are %v", h.retried)
	}
	if a, ok := h.Claim(podNamed("b"), claimOf("b")); !ok || a.Addrs.V4 != addr("10.0.0.2") || len(h.problems[podNamed("b")]) > 0 {
		t.Errorf("the second try gives %v, %t, problems %v", a, ok, h.problems[podNamed("b")])
	}
}

func TestClaimThatIsNotRecordedIsReleased(t *testing.T) {
	h := newHarness(t, "10.0.0.0/30")
	claim := claimOf("a")
	if _, ok := h.Claim(podNamed("a"), claim); !ok {
		t.Fatal("no address")
	}
	h.ClaimEnded(claim)
	if _, ok := h.Claim(podNamed("b"), claimOf("b")); !ok {
		t.Error("the address of a claim that was not recorded stays held")
	}
}

func TestRunningPodKeepsTheAddressThatItCarries(t *testing.T) {
	h := newHarness(t, "10.0.0.0/30")
	h.ip(t, "a", "10.0.0.2", 1)
	pod := &model.Pod{Meta: model.Meta{Namespace: "default", Name: "a"}, NICs: []model.PodNIC{{
		Provider: annotations.DefaultProvider, Written: map[string]string{annotations.IPAddress: "10.0.0.2", annotations.LogicalSwitch: "s"},
	}}}
	h.apply(t, podNamed("a"), pod)
	h.apply(t, ipRef("a.default"), nil)
	if _, ok := h.Claim(podNamed("b"), claimOf("b")); ok {
		t.Error("another pod gets the address that a running pod carries")
	}
	h.apply(t, podNamed("a"), nil)
	if _, ok := h.Claim(podNamed("b"), claimOf("b")); !ok {
		t.Error("the address stays held though the pod that carried it is gone")
	}
}

func TestPoolsChangeTogether(t *testing.T) {
	h := newHarness(t, "10.0.0.0/29")
	h.apply(t, model.Ref{Kind: model.KindIPPool, Name: "p"}, &model.IPPool{
		Meta: model.Meta{Name: "p"}, Subnet: "s", Ranges: []model.Range{{First: addr("10.0.0.2"), Last: addr("10.0.0.3")}},
	})
	h.Flush()
	if a, ok := h.Claim(podNamed("a"), claimOf("a")); !ok || a.Addrs.V4 != addr("10.0.0.4") {
		t.Errorf("a claim without a pool gets %v, %t, want the first address outside of it", a.Addrs.V4, ok)
	}
	usage := h.TakeUsage()
	if len(usage) != 2 || usage[0].Pool != "" || usage[1].Pool != "p" || usage[0].Stats.Held != 1 {
		t.Errorf("usage is %+v", usage)
	}
	if again := h.TakeUsage(); len(again) > 0 {
		t.Errorf("usage that has not changed is reported: %+v", again)
	}
}
