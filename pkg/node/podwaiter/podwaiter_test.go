// SPDX-License-Identifier: Apache-2.0

package podwaiter

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/node/projection"
	"github.com/wovensdn/woven/pkg/podnet"
)

func testPod(uid string, ready bool) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: types.UID(uid), Annotations: map[string]string{}}}
	if ready {
		p.Annotations = map[string]string{
			annotations.Allocated: "true", annotations.Routed: "true", annotations.IPAddress: "10.16.0.5",
			annotations.MACAddress: "0a:00:00:00:00:05", annotations.CIDR: "10.16.0.0/16", annotations.Gateway: "10.16.0.1",
			annotations.LogicalSwitch: "ovn-default",
		}
	}
	return p
}

func testSubnet(name, cidr string) *v1.Subnet {
	return &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.SubnetSpec{CIDRBlock: cidr}}
}

func newWaiter(t *testing.T, objects ...client.Object) (*Waiter, client.Client) {
	t.Helper()
	s, err := projection.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	// The API server selects events by field, the fake cannot: the test has events of one pod only.
	c := fake.NewClientBuilder().WithScheme(s).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			if _, ok := l.(*corev1.EventList); ok {
				opts = []client.ListOption{client.InNamespace("default")}
			}
			return c.List(ctx, l, opts...)
		},
	}).Build()
	return &Waiter{Cache: c, Live: c, MTU: func() int { return 1400 }, NodeName: "n1"}, c
}

var web = podnet.Ref{Namespace: "default", Name: "web", UID: "u2"}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := newWaiter(t, testPod("u1", true), testSubnet("ovn-default", "10.16.0.0/16"))
		got := make(chan podnet.Network, 1)
		go func() {
			n, err := p.Wait(t.Context(), web)
			if err != nil {
				t.Error(err)
			}
			got <- n
		}()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			p.Changed(types.NamespacedName{Namespace: "default", Name: "web"})
			synctest.Wait()
		}
		// The predecessor of the same name is not taken, nor a pod without addresses.
		must(c.Delete(t.Context(), testPod("u1", true)))
		must(c.Create(t.Context(), testPod("u2", false)))
		if len(got) > 0 {
			t.Fatal("too early")
		}
		must(c.Update(t.Context(), testPod("u2", true)))
		n := <-got
		if n.UID != "u2" || n.MTU != 1400 || n.Addresses[0].String() != "10.16.0.5/16" || n.Port != "web.default" {
			t.Errorf("%+v", n)
		}
		if len(p.waiters) > 0 {
			t.Errorf("waiters left: %v", p.waiters)
		}
	})
}

func TestMTU(t *testing.T) {
	s := testSubnet("ovn-default", "10.16.0.0/16")
	s.Spec.Mtu = 1300
	p, _ := newWaiter(t, testPod("u2", true), s)
	if n, err := p.Wait(t.Context(), web); err != nil || n.MTU != 1300 {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestTimeout(t *testing.T) {
	warning := func(name, reason, message, from string, age time.Duration) *corev1.Event {
		return &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Type: corev1.EventTypeWarning, Reason: reason, Message: message,
			Source: corev1.EventSource{Component: from}, LastTimestamp: metav1.NewTime(time.Unix(1e9, 0).Add(-age)),
		}
	}
	for _, c := range []struct {
		name    string
		objects []client.Object
		problem string
		want    []string
	}{
		{"no pod", nil, "", []string{"pod default/web: no address yet", "no such pod seen on node n1"}},
		{"no API server", nil, "API server https://192.0.2.1: refused", []string{"(API server https://192.0.2.1: refused)"}},
		{"predecessor", []client.Object{testPod("u1", true)}, "", []string{"UID u1", "u2"}},
		{"nothing said", []client.Object{testPod("u2", false)}, "", []string{"ovn.kubernetes.io/allocated is not yet"}},
		{"event", []client.Object{
			testPod("u2", false),
			warning("a", "AllocateFailed", "subnet x is full", "woven-controller", time.Hour),
			warning("b", "AllocateFailed", "subnet ovn-default is full", "woven-controller", time.Minute),
			warning("c", "FailedCreatePodSandBox", "no address", "kubelet", 0),
		}, "", []string{"(AllocateFailed: subnet ovn-default is full)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := newWaiter(t, c.objects...)
			p.Problem = func() string { return c.problem }
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := p.Wait(ctx, web)
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("error %v", err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q lacks %q", err, part)
				}
			}
		})
	}
}

func TestBadAnnotation(t *testing.T) {
	pod := testPod("u2", true)
	pod.Annotations[annotations.MACAddress] = "nonsense"
	p, _ := newWaiter(t, pod)
	if _, err := p.Wait(t.Context(), web); err == nil || !strings.Contains(err.Error(), annotations.MACAddress) {
		t.Errorf("error %v", err)
	}
}

// A tenant's annotations are not believed: the waiter returns only what the record says, too.
func TestForgedAnnotationsAreNotBelieved(t *testing.T) {
	record := func(address, mac, subnet, namespace string) *v1.IP {
		return &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "web.default"}, Spec: v1.IPSpec{
			Namespace: namespace, PodName: "web", Subnet: subnet, IPAddress: address, V4IPAddress: address, MacAddress: mac,
		}}
	}
	for name, c := range map[string]struct {
		record *v1.IP
		want   string
	}{
		"the record agrees": {record("10.16.0.5", "0a:00:00:00:00:05", "ovn-default", "default"), ""},
		"no record":         {nil, "its record IP web.default cannot be read"},
		"another address":   {record("10.16.0.6", "0a:00:00:00:00:05", "ovn-default", "default"), "its record IP web.default says 10.16.0.6"},
		"another MAC":       {record("10.16.0.5", "0a:00:00:00:00:06", "ovn-default", "default"), "0a:00:00:00:00:06"},
		"another Subnet":    {record("10.16.0.5", "0a:00:00:00:00:05", "join", "default"), "of Subnet join"},
		"another namespace": {record("10.16.0.5", "0a:00:00:00:00:05", "ovn-default", "other"), "is not a record of this pod"},
	} {
		t.Run(name, func(t *testing.T) {
			objects := []client.Object{testPod("u2", true), testSubnet("ovn-default", "10.16.0.0/16")}
			if c.record != nil {
				objects = append(objects, c.record)
			}
			p, api := newWaiter(t, objects...)
			p.Records = api
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // what is there is enough, or never comes
			_, err := p.Wait(ctx, web)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
