// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/plumb/plumbtest"
)

// TestAddAfterAKilledAdd: the server died between two steps, so that a pair without alias lies there.
func TestAddAfterAKilledAdd(t *testing.T) {
	pod := plumbtest.NewPod(t, "killed")
	p, sw := newPlumber(t, "")
	autoInstall(t, sw)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = HostName(containerID, "eth0")
	veth := netlink.NewVeth(attrs)
	veth.PeerName = "stray"
	if err := hostHandle(t).LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	req := request(pod)
	mustAdd(t, p, req)
	if err := p.Check(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if err := p.Del(t.Context(), req.Attachment); err != nil {
		t.Fatal(err)
	}
	assertNothing(t, pod, sw)
}

func TestForeignLinksStay(t *testing.T) {
	pod := plumbtest.NewPod(t, "foreign")
	p, sw := newPlumber(t, "")
	h := hostHandle(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = HostName(containerID, "eth0")
	theirs := netlink.NewVeth(attrs)
	theirs.PeerName = "theirs"
	if err := h.LinkAdd(theirs); err != nil {
		t.Fatal(err)
	}
	if err := h.LinkSetAlias(theirs, "someone else's"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Add(t.Context(), request(pod)); err == nil || !strings.Contains(err.Error(), "is not Woven's for container ") {
		t.Fatalf("add: %v", err)
	}
	if err := p.Del(t.Context(), request(pod).Attachment); err == nil || !strings.Contains(err.Error(), "is not Woven's") {
		t.Fatalf("del: %v", err)
	}
	if err := h.LinkDel(link(t, h, attrs.Name)); err != nil {
		t.Fatal(err)
	}
	assertNothing(t, pod, sw)
}

func TestInterfaceNameTakenInThePod(t *testing.T) {
	pod := plumbtest.NewPod(t, "taken")
	p, sw := newPlumber(t, "")
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "eth0"
	theirs := netlink.NewVeth(attrs)
	theirs.PeerName = "theirs"
	if err := pod.Handle.LinkAdd(theirs); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Add(t.Context(), request(pod)); err == nil || !strings.Contains(err.Error(), `interface "eth0" exists already`) {
		t.Fatalf("got %v", err)
	}
	if err := pod.Handle.LinkDel(link(t, pod.Handle, "eth0")); err != nil {
		t.Fatal(err)
	}
	assertNothing(t, pod, sw)
}

func TestDelWhenTheNamespaceIsGone(t *testing.T) {
	pod := plumbtest.NewPod(t, "gone")
	p, sw := newPlumber(t, ovs.UserspaceDatapath)
	autoInstall(t, sw)
	req := request(pod)
	mustAdd(t, p, req)
	// The pair goes while the pod's end is removed; what is left are the port and the chain.
	if err := pod.Handle.LinkDel(link(t, pod.Handle, "eth0")); err != nil {
		t.Fatal(err)
	}
	pod.Delete(t)
	if err := p.Del(t.Context(), req.Attachment); err != nil {
		t.Fatal(err)
	}
	assertNothing(t, pod, sw)
}

// TestNewSandboxTakesThePortOver: the old sandbox of the pod is dead but not deleted yet.
func TestNewSandboxTakesThePortOver(t *testing.T) {
	old, fresh := plumbtest.NewPod(t, "old"), plumbtest.NewPod(t, "fresh")
	p, sw := newPlumber(t, "")
	autoInstall(t, sw)
	mustAdd(t, p, request(old))
	req := request(fresh)
	req.ContainerID = "fedcba9876543210"
	mustAdd(t, p, req)
	ports, _ := sw.Ports()
	if len(ports) != 1 || ports[0].Name != "aaea8d1e87888_h" {
		t.Fatalf("ports %+v", ports)
	}
	if err := p.Del(t.Context(), request(old).Attachment); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context(), req); err != nil {
		t.Fatalf("the late DEL of the old sandbox broke the new one: %v", err)
	}
	if err := p.Del(t.Context(), req.Attachment); err != nil {
		t.Fatal(err)
	}
	assertNothing(t, fresh, sw)
}

// TestContainerIDsWithOnePrefix: neither ADD nor DEL of a sandbox touches another one whose id begins alike.
func TestContainerIDsWithOnePrefix(t *testing.T) {
	victim, attacker := plumbtest.NewPod(t, "victim"), plumbtest.NewPod(t, "attacker")
	p, sw := newPlumber(t, "")
	autoInstall(t, sw)
	req, other := request(victim), request(attacker)
	other.ContainerID = containerID[:12] + "ffffffff"
	other.Network.Name, other.Network.Port, other.Network.UID = "web-1", "web-1.shop", "uid-2"
	mustAdd(t, p, req)
	mustAdd(t, p, other)
	if err := p.Check(t.Context(), req); err != nil {
		t.Fatalf("after the other's ADD: %v", err)
	}
	if err := p.Del(t.Context(), other.Attachment); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context(), req); err != nil {
		t.Fatalf("after the other's DEL: %v", err)
	}
	if err := p.Del(t.Context(), req.Attachment); err != nil {
		t.Fatal(err)
	}
	assertNothing(t, victim, sw)
}

// TestPortsOfOtherNamespacesStay: "a.b" in "c" and the provider "c" of "a" in "b" have one name of a logical port.
func TestPortsOfOtherNamespacesStay(t *testing.T) {
	victim, attacker := plumbtest.NewPod(t, "victim"), plumbtest.NewPod(t, "attacker")
	p, sw := newPlumber(t, "")
	autoInstall(t, sw)
	req, other := request(victim), request(attacker)
	other.ContainerID, other.Network.Namespace = "fedcba9876543210", "red"
	mustAdd(t, p, req)
	mustAdd(t, p, other)
	if err := p.Check(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	for _, a := range []Attachment{req.Attachment, other.Attachment} {
		if err := p.Del(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	assertNothing(t, victim, sw)
}

// TestNICOfAnEarlierVersion: its name has the first characters of the container id.
func TestNICOfAnEarlierVersion(t *testing.T) {
	pod := plumbtest.NewPod(t, "earlier")
	p, sw := newPlumber(t, ovs.UserspaceDatapath)
	autoInstall(t, sw)
	req := request(pod)
	mustAdd(t, p, req)
	h := hostHandle(t)
	was, old := HostName(containerID, "eth0"), "0123456789ab_h"
	ports, _ := sw.Ports()
	if err := sw.DeletePort(t.Context(), "br-int", was); err != nil {
		t.Fatal(err)
	}
	if err := (Userspace{}).Release(was); err != nil {
		t.Fatal(err)
	}
	if err := h.LinkSetName(link(t, h, was), old); err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for key, value := range ports[0].ExternalIDs {
		if !strings.HasPrefix(key, "ovn-") {
			ids[key] = value
		}
	}
	if err := sw.EnsurePort(t.Context(), ovs.Port{Bridge: "br-int", Name: old, ExternalIDs: ids}); err != nil {
		t.Fatal(err)
	}
	if err := (Userspace{}).DropIngress(old); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context(), req); err != nil {
		t.Fatalf("check: %v", err)
	}
	if res := mustAdd(t, p, req); res.HostIf != old {
		t.Errorf("a repeated ADD made %s", res.HostIf)
	}
	if err := p.Del(t.Context(), req.Attachment); err != nil {
		t.Fatal(err)
	}
	assertNothing(t, pod, sw)
}

func TestGCRemovesOnlyWhatIsOursAndUnknown(t *testing.T) {
	keep, drop := plumbtest.NewPod(t, "keep"), plumbtest.NewPod(t, "drop")
	p, sw := newPlumber(t, ovs.UserspaceDatapath)
	autoInstall(t, sw)
	sw.AddForeign(ovs.Port{Bridge: "br-int", Name: "tap0", ExternalIDs: map[string]string{"container_id": "x", "if_name": "eth0"}})
	if err := sw.EnsurePort(t.Context(), ovs.Port{Bridge: "br-int", Name: "ovn0", Type: "internal"}); err != nil {
		t.Fatal(err)
	}
	kept, dropped := request(keep), request(drop)
	dropped.ContainerID, dropped.Network.Port = "fedcba9876543210", "web-1.shop"
	mustAdd(t, p, kept)
	mustAdd(t, p, dropped)
	// A link without a port, left by a server that was killed.
	stray := request(drop)
	stray.ContainerID = "5555555555555555"
	attrs := netlink.NewLinkAttrs()
	attrs.Name = HostName(stray.ContainerID, "eth0")
	veth := netlink.NewVeth(attrs)
	veth.PeerName = "stray"
	h := hostHandle(t)
	if err := h.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	if err := h.LinkSetAlias(veth, alias(stray.Attachment, "a", "b")); err != nil {
		t.Fatal(err)
	}
	if err := (Userspace{}).DropIngress(attrs.Name); err != nil {
		t.Fatal(err)
	}
	if err := p.GC(t.Context(), []Attachment{kept.Attachment}); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	ports, _ := sw.Ports()
	if len(ports) != 2 || ports[0].Name != "6ee0b8e0319de_h" || ports[1].Name != "ovn0" {
		t.Fatalf("ports %+v", ports)
	}
	if _, err := h.LinkByName(attrs.Name); !isNotFound(err) {
		t.Fatalf("stray link: %v", err)
	}
	if err := sw.DeletePort(t.Context(), "br-int", "ovn0"); err != nil {
		t.Fatal(err)
	}
	if err := p.GC(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	assertNothing(t, keep, sw)
}
