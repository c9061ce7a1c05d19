// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
)

const (
	churnWorkers = 8
	churnPause   = 3 * time.Millisecond // between two changes, so that the controller gets CPU time
	setSize      = 15
	scarcePairs  = 20 // fixed addresses, each requested by two pods
	poolSize     = 20
	listSize     = 10
	smallSize    = 61 // addresses of a /26, without its gateway
)

// slot is a pod that exists or not. The pods of a group share addresses, of which there may be too few.
type slot struct {
	namespace, name, group string
	annotations            map[string]string
	set                    string // its StatefulSet

	live, busy bool
}

// churn creates and deletes pods, and changes StatefulSets, until its context ends.
type churn struct {
	client client.Client
	room   map[string]int // addresses of a group; no entry means enough
	random *rand.Rand
	ops    atomic.Int64

	mu    sync.Mutex
	slots []*slot
	uids  map[string]types.UID // of the StatefulSets
}

// newChurn creates the objects that the pods need; n is the number of pods.
func newChurn(t *testing.T, b *harness, n int, seed uint64) *churn {
	t.Helper()
	c := &churn{
		client: b.client, random: rand.New(rand.NewPCG(seed, 1)), uids: map[string]types.UID{}, //nolint:gosec // the order of a test
		room: map[string]int{"small": smallSize, "pool": poolSize, "list": listSize},
	}
	b.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "small"}})
	b.create(t, &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "small"}, Spec: v1.SubnetSpec{CIDRBlock: "10.21.0.0/26,fd00:21::/112", Namespaces: []string{"small"}}})
	b.create(t, &v1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: "few"}, Spec: v1.IPPoolSpec{Subnet: "ovn-default", IPs: []string{fmt.Sprintf("10.16.3.1..10.16.3.%d", poolSize)}}})
	for _, name := range []string{"kept", "scaled"} {
		if err := c.makeSet(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		for i := range setSize {
			c.slots = append(c.slots, &slot{namespace: "default", name: fmt.Sprintf("%s-%d", name, i), set: name})
		}
	}
	for i := range scarcePairs {
		c.room[fmt.Sprint("fixed", i)] = 1
		for _, twin := range "ab" {
			c.slots = append(c.slots, &slot{
				namespace: "default", name: fmt.Sprintf("fixed%d%c", i, twin), group: fmt.Sprint("fixed", i),
				annotations: map[string]string{annotations.IPAddress: fmt.Sprintf("10.16.200.%d", i+1)},
			})
		}
	}
	for i := range max(0, n-len(c.slots)) {
		s := &slot{namespace: "default", name: fmt.Sprint("p", i)}
		switch i % 10 {
		case 0, 1:
			s.group, s.annotations = "pool", map[string]string{annotations.IPPool: "few"}
		case 2:
			s.group, s.annotations = "list", map[string]string{annotations.IPPool: fmt.Sprintf("10.16.201.1..10.16.201.%d", listSize)}
		case 3, 4, 5, 6:
			s.group, s.namespace = "small", "small"
		}
		c.slots = append(c.slots, s)
	}
	return c
}

// run returns when the context has ended and no change is in progress.
func (c *churn) run(ctx context.Context, t *testing.T) {
	t.Helper()
	ticks := time.NewTicker(churnPause)
	defer ticks.Stop()
	var running sync.WaitGroup
	for range churnWorkers {
		running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticks.C:
				}
				if err := c.change(t.Context()); err != nil {
					t.Error(err)
					return
				}
				c.ops.Add(1)
			}
		})
	}
	running.Wait()
}

// change creates or deletes a pod, or now and then scales or replaces a StatefulSet.
func (c *churn) change(ctx context.Context) error {
	c.mu.Lock()
	dice, replicas := c.random.IntN(200), c.random.Int32N(setSize+1)
	s := c.slots[c.random.IntN(len(c.slots))]
	for s.busy {
		s = c.slots[c.random.IntN(len(c.slots))]
	}
	if dice > 2 {
		s.busy = true
	}
	c.mu.Unlock()
	switch dice {
	case 0, 1:
		return c.scale(ctx, replicas)
	case 2:
		return c.makeSet(ctx, "scaled")
	}
	err := c.toggle(ctx, s)
	c.mu.Lock()
	s.busy = false
	c.mu.Unlock()
	return err
}

func (c *churn) toggle(ctx context.Context, s *slot) error {
	pod := Pod(s.namespace, s.name, "n1")
	if s.live {
		s.live = false
		return c.client.Delete(ctx, pod, client.GracePeriodSeconds(0))
	}
	s.live = true
	pod.Annotations = s.annotations
	c.mu.Lock()
	if pod.Spec.NodeName = "n1"; c.random.IntN(2) == 0 {
		pod.Spec.NodeName = "n2"
	}
	if yes := true; s.set != "" {
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: s.set, UID: c.uids[s.set], Controller: &yes}}
	}
	c.mu.Unlock()
	return c.client.Create(ctx, pod)
}

func newSet(name string, replicas int32) *appsv1.StatefulSet {
	labels := map[string]string{"app": name}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	set.Spec.Replicas = &replicas
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	set.Spec.Template.Labels = labels
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "none"}}
	return set
}

// makeSet creates a StatefulSet and replaces an existing one. Two workers may do so concurrently.
func (c *churn) makeSet(ctx context.Context, name string) error {
	set := newSet(name, setSize)
	if err := c.client.Delete(ctx, set.DeepCopy()); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete StatefulSet: %w", err)
	}
	if err := c.client.Create(ctx, set); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return fmt.Errorf("create StatefulSet: %w", err)
	}
	c.mu.Lock()
	c.uids[name] = set.UID
	c.mu.Unlock()
	return nil
}

func (c *churn) scale(ctx context.Context, replicas int32) error {
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas))
	return client.IgnoreNotFound(c.client.Patch(ctx, newSet("scaled", 0), patch))
}

// expect returns an error if a pod waits although an address is free.
func (c *churn) expect(pods []corev1.Pod) error {
	live, served := map[string]int{}, map[string]int{}
	groups := map[string]string{}
	for _, s := range c.slots {
		groups[s.namespace+"/"+s.name] = s.group
	}
	for i := range pods {
		g := groups[pods[i].Namespace+"/"+pods[i].Name]
		live[g]++
		if pods[i].Annotations[annotations.Routed] == "true" {
			served[g]++
		}
	}
	var all error
	for g, n := range live {
		want := n
		if room, ok := c.room[g]; ok {
			want = min(n, room)
		}
		if served[g] != want {
			all = errors.Join(all, fmt.Errorf("group %q: %d pods have an address, want %d of %d", g, served[g], want, n))
		}
	}
	return all
}

// clear deletes everything that the churn created except the subnet and the pool.
func (c *churn) clear(t *testing.T) {
	t.Helper()
	for _, namespace := range []string{"default", "small"} {
		for _, o := range []client.Object{&appsv1.StatefulSet{}, &corev1.Pod{}} {
			if err := c.client.DeleteAllOf(t.Context(), o, client.InNamespace(namespace), client.GracePeriodSeconds(0)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// keeps reports whether a record always outlives its pod.
func (c *churn) keeps(record string) bool {
	return slices.ContainsFunc(c.slots, func(s *slot) bool { return s.set == "kept" && s.name+"."+s.namespace == record })
}
