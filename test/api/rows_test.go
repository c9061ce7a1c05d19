// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/inspect"
	"github.com/wovensdn/woven/pkg/model"
	ovsdbclient "github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// rows is a controller on a real API server, for one test after another.
type rows struct {
	*harness
	db         *ovsdbclient.DB
	controller *ControllerProcess
}

// TestAddressRows checks the promises of docs/addresses.md on a real API server and with the controller's own RBAC
// rules.
func TestAddressRows(t *testing.T) {
	b := &rows{harness: newHarness(t)}
	b.server.Install()
	b.server.AddNode("n1", "172.18.0.1")
	b.controller = b.start(t)
	ready(t, b.client)
	b.db = b.nb.Client(t)
	t.Run("Deployment with a list", b.deployment)
	t.Run("DaemonSet and Job", b.daemonSetAndJob)
	t.Run("IPPool of a namespace", b.poolOfNamespace)
	t.Run("record of a running pod is deleted", b.deletedRecord)
	t.Run("reservation", b.reservation)
	t.Run("reservation without a MAC", b.reservationWithoutMAC)
	t.Run("reservation of an address in use", b.reservationInUse)
	t.Run("what cannot be had", b.refused)
	t.Run("exhausted subnet", b.exhausted)
	t.Run("subnet in use", b.subnetInUse)
}

// home creates a namespace and a subnet with the same name for it.
func (b *rows) home(t *testing.T, name, cidr string) {
	t.Helper()
	b.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	b.create(t, &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.SubnetSpec{CIDRBlock: cidr, Namespaces: []string{name}}})
	b.awaitSubnet(t, name, v1.ConditionReady, "")
}

// pod creates a pod with a controlling owner of that kind and name; pairs are annotation suffixes and values.
func (b *rows) pod(t *testing.T, namespace, name, kind, owner string, pairs ...string) *corev1.Pod {
	t.Helper()
	pod := Pod(namespace, name, "n1")
	pod.Annotations = map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		pod.Annotations[annotations.Key(annotations.DefaultProvider, pairs[i])] = pairs[i+1]
	}
	if yes := true; kind != "" {
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: owner, UID: types.UID("uid-" + owner), Controller: &yes}}
	}
	b.create(t, pod)
	return pod
}

// served waits for a pod's address and returns it.
func (b *rows) served(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	Eventually(t, "pod "+pod.Name+" has an address", startTime, func(ctx context.Context) error {
		if err := b.client.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return err
		}
		if pod.Annotations[annotations.Routed] != "true" {
			return fmt.Errorf("annotations are %v", pod.Annotations)
		}
		return nil
	})
	return pod.Annotations[annotations.IPAddress]
}

// hasEvent waits for an event of this pod (by UID) that contains all texts.
func (b *rows) hasEvent(t *testing.T, pod *corev1.Pod, texts ...string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("pod %s has an event %q", pod.Name, texts), startTime/4, func(ctx context.Context) error {
		list := &corev1.EventList{}
		if err := b.client.List(ctx, list, client.InNamespace(pod.Namespace)); err != nil {
			return err
		}
		var said []string
		for i := range list.Items {
			if e := &list.Items[i]; e.InvolvedObject.UID == pod.UID {
				said = append(said, e.Reason+" "+e.Message)
			}
		}
		if !slices.ContainsFunc(said, func(s string) bool {
			return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(s, text) })
		}) {
			return fmt.Errorf("its events are %q", said)
		}
		return nil
	})
}

// known waits until the controller has read an IP object.
func (b *rows) known(t *testing.T, ip *v1.IP) {
	t.Helper()
	Eventually(t, "the controller knows IP "+ip.Name, startTime, func(ctx context.Context) error {
		page, err := b.controller.Get(ctx, inspect.Path+"addresses")
		if err == nil && !strings.Contains(page, ip.Name) {
			return errors.New("the address is free")
		}
		return err
	})
}

func (b *rows) remove(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := b.client.Delete(t.Context(), o, client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitIP waits until right returns true for the IP object or, if right is nil, until it is deleted.
func (b *rows) awaitIP(t *testing.T, what, name string, right func(*v1.IP) bool) *v1.IP {
	t.Helper()
	ip := &v1.IP{}
	Eventually(t, what, startTime, func(ctx context.Context) error {
		err := b.client.Get(ctx, client.ObjectKey{Name: name}, ip)
		if apierrors.IsNotFound(err) && right == nil {
			return nil
		}
		if err == nil && (right == nil || !right(ip)) {
			err = fmt.Errorf("it is %+v", ip)
		}
		return err
	})
	return ip
}

// awaitSubnet waits until a condition is true and its message contains text.
func (b *rows) awaitSubnet(t *testing.T, name string, kind v1.ConditionType, text string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("Subnet %s is %s %s", name, kind, text), startTime, func(ctx context.Context) error {
		s := &v1.Subnet{}
		if err := b.client.Get(ctx, client.ObjectKey{Name: name}, s); err != nil {
			return err
		}
		if c := v1.FindCondition(s.Status.Conditions, kind); c == nil || c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, text) {
			return fmt.Errorf("conditions are %+v", s.Status.Conditions)
		}
		return nil
	})
}

func (b *rows) port(name string) *nb.LogicalSwitchPort {
	for _, uuid := range b.db.UUIDs(nb.LogicalSwitchPortTable) {
		if p, ok := b.db.Row(nb.LogicalSwitchPortTable, uuid).(*nb.LogicalSwitchPort); ok && p.Name == name {
			return p
		}
	}
	return nil
}

// With a rolling update and as many addresses as pods, the new pod waits, gets an event that names the holder, and gets
// the address as soon as one is free.
func (b *rows) deployment(t *testing.T) {
	list := []string{annotations.SuffixIPPool, "10.16.40.1..10.16.40.2"}
	one := b.pod(t, "default", "shop-1-a", "ReplicaSet", "shop-1", list...)
	two := b.pod(t, "default", "shop-1-b", "ReplicaSet", "shop-1", list...)
	was, other := b.served(t, one), b.served(t, two)
	if was == other || !strings.HasPrefix(was, "10.16.40.") || !strings.HasPrefix(other, "10.16.40.") {
		t.Errorf("they have %s and %s", was, other)
	}
	next := b.pod(t, "default", "shop-2-a", "ReplicaSet", "shop-2", list...)
	b.hasEvent(t, next, "AcquireAddressFailed", "10.16.40.1..10.16.40.2", "shop-1-a.default", "shop-1-b.default")
	b.remove(t, one)
	if now := b.served(t, next); now != was {
		t.Errorf("it has %s, want %s", now, was)
	}
	last := b.pod(t, "default", "shop-2-b", "ReplicaSet", "shop-2", list...)
	b.remove(t, two)
	if now := b.served(t, last); now != other {
		t.Errorf("it has %s, want %s", now, other)
	}
	b.remove(t, next, last)
}

// The address of a DaemonSet's pod is released with the pod. The address of a completed pod is free although the pod
// exists.
func (b *rows) daemonSetAndJob(t *testing.T) {
	requested := []string{annotations.SuffixIPAddress, "10.16.41.7"}
	agent := b.pod(t, "default", "agent-x", "DaemonSet", "agent", requested...)
	b.served(t, agent)
	b.remove(t, agent)
	b.awaitIP(t, "the DaemonSet keeps nothing", "agent-x.default", nil)
	job := b.pod(t, "default", "sum-x", "Job", "sum", requested...)
	b.served(t, job)
	next := b.pod(t, "default", "sum-y", "Job", "sum", requested...)
	b.hasEvent(t, next, "address 10.16.41.7 of subnet ovn-default belongs to IP sum-x.default")
	job.Status.Phase = corev1.PodSucceeded
	if err := b.client.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	b.served(t, next)
	if b.port("sum-x.default") != nil {
		t.Error("the pod that has completed has a port")
	}
	b.remove(t, job, next)
}

func (b *rows) poolOfNamespace(t *testing.T) {
	b.home(t, "pooled", "10.42.0.0/24")
	b.create(t, &v1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: "pooled"}, Spec: v1.IPPoolSpec{Subnet: "pooled", Namespaces: []string{"pooled"}, IPs: []string{"10.42.0.77"}}})
	Eventually(t, "the pool is ready", startTime, func(ctx context.Context) error {
		pool := &v1.IPPool{}
		if err := b.client.Get(ctx, client.ObjectKey{Name: "pooled"}, pool); err != nil {
			return err
		}
		if c := v1.FindCondition(pool.Status.Conditions, v1.ConditionReady); c == nil || c.Status != metav1.ConditionTrue {
			return fmt.Errorf("conditions are %+v", pool.Status.Conditions)
		}
		return nil
	})
	first := b.pod(t, "pooled", "first", "", "")
	if now := b.served(t, first); now != "10.42.0.77" {
		t.Errorf("it has %s, which is not of the pool", now)
	}
	second := b.pod(t, "pooled", "second", "", "")
	b.hasEvent(t, second, "pool pooled of subnet pooled has no free IPv4 address", "first.pooled")
	b.remove(t, first)
	b.served(t, second)
	b.remove(t, second)
}

// However the record of a running pod is deleted: port, address and
// annotations stay, and a pod that waits for an address does not get this one.
func (b *rows) deletedRecord(t *testing.T) {
	pod := b.pod(t, "default", "runs", "", "", annotations.SuffixIPPool, "10.16.43.1")
	b.served(t, pod)
	waiting := b.pod(t, "default", "waits", "", "", annotations.SuffixIPPool, "10.16.43.1")
	b.hasEvent(t, waiting, "runs.default")
	record := b.awaitIP(t, "there is a record", "runs.default", func(*v1.IP) bool { return true })
	transactions := portDeletions(t, b.nb, b.port("runs.default").UUID)

	b.remove(t, record)
	b.awaitIP(t, "the record is being deleted", record.Name, func(ip *v1.IP) bool { return ip.DeletionTimestamp != nil })
	b.create(t, Pod("default", "after", "n1")) // when this is served, the controller has seen the deletion
	b.served(t, Pod("default", "after", ""))
	b.awaitIP(t, "the record stays", record.Name, func(ip *v1.IP) bool { return ip.UID == record.UID })
	if err := b.client.Patch(t.Context(), record, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))); err != nil {
		t.Fatal(err)
	}
	now := b.awaitIP(t, "there is a record again", record.Name, func(ip *v1.IP) bool { return ip.UID != record.UID })
	if now.Spec.IPAddress != record.Spec.IPAddress || now.Spec.MacAddress != record.Spec.MacAddress || now.Spec.NodeName != "n1" || len(now.Finalizers) != 1 {
		t.Errorf("the record was %+v and is %+v", record.Spec, now)
	}
	before := pod.DeepCopy()
	if b.served(t, pod); fmt.Sprint(before.Annotations) != fmt.Sprint(pod.Annotations) {
		t.Errorf("annotations were %v and are %v", before.Annotations, pod.Annotations)
	}
	if n := portDeletions(t, b.nb, b.port("runs.default").UUID) - transactions; n != 0 {
		t.Errorf("the port was deleted %d times", n)
	}
	b.remove(t, pod)
	b.served(t, waiting)
	b.remove(t, waiting, Pod("default", "after", ""))
}

// A pod gets the address of a user's IP object with its name. The object stays when the pod is deleted.
func (b *rows) reservation(t *testing.T) {
	ip := &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "booked.default"}, Spec: v1.IPSpec{
		PodName: "booked", Namespace: "default", Subnet: "ovn-default", V4IPAddress: "10.16.44.4", MacAddress: "02:00:00:00:44:04",
	}}
	b.create(t, ip)
	b.known(t, ip) // else the pod may be first
	thief := b.pod(t, "default", "thief", "", "", annotations.SuffixIPAddress, "10.16.44.4")
	b.hasEvent(t, thief, "address 10.16.44.4 of subnet ovn-default belongs to IP booked.default")
	for range 2 {
		pod := b.pod(t, "default", "booked", "", "")
		if now := b.served(t, pod); now != "10.16.44.4" || pod.Annotations[annotations.MACAddress] != "02:00:00:00:44:04" {
			t.Errorf("it has %v", pod.Annotations)
		}
		b.remove(t, pod)
		Eventually(t, "the port is gone", startTime, func(context.Context) error {
			if p := b.port("booked.default"); p != nil {
				return fmt.Errorf("it is %+v", p)
			}
			return nil
		})
		b.awaitIP(t, "the reservation stays", ip.Name, func(now *v1.IP) bool { return now.UID == ip.UID && now.DeletionTimestamp == nil })
	}
	b.remove(t, ip)
	if now := b.served(t, thief); now != "10.16.44.4" {
		t.Errorf("it has %s", now)
	}
	b.remove(t, thief)
}

// A reservation may omit the MAC: the record is completed, and the pod has both.
func (b *rows) reservationWithoutMAC(t *testing.T) {
	ip := &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "open.default"}, Spec: v1.IPSpec{
		PodName: "open", Namespace: "default", Subnet: "ovn-default", V4IPAddress: "10.16.44.6",
	}}
	b.create(t, ip)
	pod := b.pod(t, "default", "open", "", "")
	now := b.served(t, pod)
	record := b.awaitIP(t, "the record has a MAC", ip.Name, func(ip *v1.IP) bool { return ip.Spec.MacAddress != "" })
	if now != "10.16.44.6" || record.UID != ip.UID || pod.Annotations[annotations.MACAddress] != record.Spec.MacAddress {
		t.Errorf("the pod has %v, its record %+v", pod.Annotations, record.Spec)
	}
	b.remove(t, pod)
	b.awaitIP(t, "the reservation stays", ip.Name, func(now *v1.IP) bool { return now.UID == ip.UID && now.DeletionTimestamp == nil })
	b.remove(t, ip)
	b.awaitIP(t, "it is gone", ip.Name, nil)
}

// A reservation of an address in use does not create a duplicate.
func (b *rows) reservationInUse(t *testing.T) {
	holder := b.pod(t, "default", "holder", "", "", annotations.SuffixIPAddress, "10.16.45.5")
	b.served(t, holder)
	ip := &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "double.default"}, Spec: v1.IPSpec{
		PodName: "double", Namespace: "default", Subnet: "ovn-default", V4IPAddress: "10.16.45.5", MacAddress: "02:00:00:00:45:05",
	}}
	b.create(t, ip)
	double := b.pod(t, "default", "double", "", "")
	b.hasEvent(t, double, "10.16.45.5", "holder.default")
	if p := b.port("double.default"); p != nil {
		t.Errorf("both have a port: %+v", p)
	}
	b.remove(t, holder)
	if now := b.served(t, double); now != "10.16.45.5" {
		t.Errorf("it has %s", now)
	}
	b.remove(t, double, ip)
}

// A request that cannot be satisfied is refused with the cause and the holder, also for a later pod
// with the same name.
func (b *rows) refused(t *testing.T) {
	b.home(t, "refused", "10.46.0.0/24")
	holder := b.pod(t, "refused", "holder", "", "", annotations.SuffixMACAddress, "02:00:00:00:46:46")
	b.served(t, holder)
	for _, tt := range []struct{ suffix, value, text string }{
		{annotations.SuffixIPAddress, "10.46.0.1", "address 10.46.0.1 belongs to the gateway of subnet refused"},
		{annotations.SuffixMACAddress, model.GatewayMAC("ovn-cluster", "refused"), "belongs to the gateway of subnet refused"},
		{annotations.SuffixIPAddress, "10.47.0.9", "address 10.47.0.9 is not a host address of subnet refused (10.46.0.0/24)"},
		{annotations.SuffixIPAddress, holder.Annotations[annotations.IPAddress], "belongs to IP holder.refused"},
		{annotations.SuffixMACAddress, "02:00:00:00:46:46", "MAC 02:00:00:00:46:46 of subnet refused belongs to IP holder.refused"},
		{annotations.SuffixIPAddress, "10.46.0.300", "10.46.0.300"},
		{annotations.SuffixIPFamily, "ipv7", "ipv7"},
		{annotations.SuffixIPPool, "10.46.0.9..10.46.0.3", "10.46.0.9..10.46.0.3"},
		{annotations.SuffixLogicalSwitch, "nowhere", "there is no Subnet nowhere"},
	} {
		for range 2 {
			pod := b.pod(t, "refused", "asks", "", "", tt.suffix, tt.value)
			b.hasEvent(t, pod, tt.text)
			b.remove(t, pod)
		}
	}
	b.remove(t, holder)
	b.awaitIP(t, "nothing is left", "asks.refused", nil)
}

// In a full subnet, a waiting pod gets an event, and an address when one is released.
func (b *rows) exhausted(t *testing.T) {
	b.home(t, "full", "10.48.0.0/30")
	only := b.pod(t, "full", "only", "", "")
	b.served(t, only)
	waiting := b.pod(t, "full", "waiting", "", "")
	b.hasEvent(t, waiting, "AcquireAddressFailed", "subnet full has no free IPv4 address")
	b.remove(t, only)
	b.served(t, waiting)
	b.remove(t, waiting)
}

// A subnet that is deleted while in use is removed with its last address.
func (b *rows) subnetInUse(t *testing.T) {
	b.home(t, "leaving", "10.49.0.0/24")
	pod := b.pod(t, "leaving", "last", "", "")
	b.served(t, pod)
	subnet := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "leaving"}}
	b.remove(t, subnet)
	b.awaitSubnet(t, "leaving", v1.ConditionError, "Subnet leaving is being deleted and still has 1 addresses in use, for example that of last.leaving")
	if b.port("last.leaving") == nil {
		t.Error("the pod has lost its port")
	}
	b.remove(t, pod)
	Eventually(t, "the subnet is gone", startTime, func(ctx context.Context) error {
		err := b.client.Get(ctx, client.ObjectKeyFromObject(subnet), subnet)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, fmt.Errorf("finalizers are %v", subnet.Finalizers))
	})
}
