// SPDX-License-Identifier: Apache-2.0

package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/kube"
)

// moment is one version of a pod or an IP object.
type moment struct {
	revision int64 // of etcd, so versions of all objects are totally ordered
	record   bool  // it is an IP object
	name     string
	uid      string
	addrs    string // separated by commas; empty for none
	gone     bool
}

// history is every version of every pod and IP object, from watches.
type history struct {
	mu      sync.Mutex
	moments []moment
	written int           // those of the controller: an IP object made or gone, a pod annotated
	grown   chan struct{} // closed and replaced at each one
}

// watchAll starts the watches. The history has everything from then on.
func watchAll(t *testing.T, s *Server) *history {
	t.Helper()
	scheme, err := kube.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewWithWatch(s.Config(Admin), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	h := &history{grown: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	for _, list := range []client.ObjectList{&corev1.PodList{}, &v1.IPList{}} {
		if err := c.List(ctx, list); err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := h.follow(ctx, c, list, list.GetResourceVersion()); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	return h
}

// follow watches from a revision on. It resumes a watch that the server ends.
func (h *history) follow(ctx context.Context, c client.WithWatch, list client.ObjectList, revision string) error {
	for ctx.Err() == nil {
		w, err := c.Watch(ctx, list, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: revision}})
		if err != nil {
			return fmt.Errorf("watch from %s: %w", revision, err)
		}
		for e := range w.ResultChan() {
			o, ok := e.Object.(client.Object)
			if !ok {
				return fmt.Errorf("watch from %s: %+v", revision, e.Object)
			}
			revision = o.GetResourceVersion()
			if err := h.add(o, e.Type); err != nil {
				return err
			}
		}
		w.Stop()
	}
	return nil
}

func (h *history) add(o client.Object, change watch.EventType) error {
	m := moment{uid: string(o.GetUID()), gone: change == watch.Deleted}
	var err error
	if m.revision, err = strconv.ParseInt(o.GetResourceVersion(), 10, 64); err != nil {
		return fmt.Errorf("read revision of %s: %w", o.GetName(), err)
	}
	switch o := o.(type) {
	case *corev1.Pod:
		m.name, m.addrs = o.Name+"."+o.Namespace, o.Annotations[annotations.IPAddress]
		if o.Annotations[annotations.Routed] != "true" {
			m.addrs = ""
		}
	case *v1.IP:
		m.record, m.name, m.addrs = true, o.Name, o.Spec.IPAddress
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.moments = append(h.moments, m)
	if m.record && change != watch.Modified || !m.record && change == watch.Modified && m.addrs != "" {
		h.written++
	}
	close(h.grown)
	h.grown = make(chan struct{})
	return nil
}

// revisionNow returns etcd's current revision.
func revisionNow(t *testing.T, c client.Client) int64 {
	t.Helper()
	nodes := &corev1.NodeList{}
	if err := c.List(t.Context(), nodes); err != nil {
		t.Fatal(err)
	}
	now, err := strconv.ParseInt(nodes.ResourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// await waits until done returns true. It is called after each version.
func (h *history) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	for {
		h.mu.Lock()
		ok, grown := done(), h.grown
		h.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-grown:
		case <-ctx.Done():
			t.Fatalf("waiting until %s: %v", what, ctx.Err())
		}
	}
}

// holders are the owners of addresses at one moment.
type holders struct {
	holder map[string]string // by address
	held   map[string]moment // by name
}

func newHolders() *holders { return &holders{holder: map[string]string{}, held: map[string]moment{}} }

// enter applies a moment and returns what is wrong about it.
func (l *holders) enter(m moment) (wrong []string) {
	before := l.held[m.name]
	if before.addrs != "" && !m.gone && before.uid == m.uid && before.addrs != m.addrs {
		wrong = append(wrong, fmt.Sprintf("%s had %s and has %q", m.name, before.addrs, m.addrs))
	}
	for _, a := range split(before.addrs) {
		if l.holder[a] == m.name {
			delete(l.holder, a)
		}
	}
	delete(l.held, m.name)
	if m.gone {
		return wrong
	}
	l.held[m.name] = m
	for _, a := range split(m.addrs) {
		if other := l.holder[a]; other != "" {
			wrong = append(wrong, fmt.Sprintf("%s is held by %s and by %s", a, other, m.name))
		}
		l.holder[a] = m.name
	}
	return wrong
}

func split(addrs string) []string {
	if addrs == "" {
		return nil
	}
	return strings.Split(addrs, ",")
}

// judge checks the history in the order of etcd. At no moment do two pods, or two IP objects, have the same address. No
// pod has an address without a record. No pod's address changes. Up to revision until, no retained record is deleted.
func (h *history) judge(t *testing.T, kept func(record string) bool, until int64) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.SortStableFunc(h.moments, func(a, b moment) int { return cmp.Compare(a.revision, b.revision) })
	pods, records := newHolders(), newHolders()
	for _, m := range h.moments {
		var wrong []string
		if m.record {
			wrong = records.enter(m)
			if pod := pods.held[m.name]; m.gone && pod.addrs != "" {
				wrong = append(wrong, fmt.Sprintf("the record of %s is deleted while the pod has %s", m.name, pod.addrs))
			}
			if m.gone && m.revision <= until && kept(m.name) {
				wrong = append(wrong, "the record of "+m.name+" is deleted, which a StatefulSet retains")
			}
		} else {
			wrong = pods.enter(m)
			if !m.gone && m.addrs != "" && records.held[m.name].addrs != m.addrs {
				wrong = append(wrong, fmt.Sprintf("pod %s has %s, its record has %q", m.name, m.addrs, records.held[m.name].addrs))
			}
		}
		for _, w := range wrong {
			t.Errorf("revision %d: %s", m.revision, w)
		}
	}
}
