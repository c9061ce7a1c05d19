// SPDX-License-Identifier: Apache-2.0

// Package podwaiter waits for the network of a pod, which the controller writes into annotations.
package podwaiter

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/projection"
	"github.com/wovensdn/woven/pkg/podnet"
)

// eventTimeout bounds the look-up of a pod's events after its own time is over.
const eventTimeout = 2 * time.Second

// Waiter returns the network of a pod of this node as soon as the
// controller has said it.
type Waiter struct {
	// Cache has the pods of this node and the subnets.
	Cache client.Reader
	// Live reads events from the API server itself; nil does without.
	Live client.Reader
	// Records reads IP objects from the API server itself. Tenants can write a pod's annotations, but not its record;
	// nil, in tests, believes the annotations.
	Records client.Reader
	// MTU returns the node's MTU in bytes for pods whose subnet names none.
	MTU func() int
	// Problem returns why the API server cannot be watched, "" if it can; it may be nil.
	Problem func() string
	// NodeName is for errors.
	NodeName string

	mu      sync.Mutex
	waiters map[types.NamespacedName]map[chan struct{}]bool
}

// Changed wakes the callers that wait for a pod. Call it after every change of one.
func (p *Waiter) Changed(pod types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ch := range p.waiters[pod] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Wait returns the network of one NIC once the controller has allocated and
// programmed it. At the end of ctx the error says what is missing and, if the
// controller said so in an event, why.
func (p *Waiter) Wait(ctx context.Context, ref podnet.Ref) (podnet.Network, error) {
	key := types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
	wake := make(chan struct{}, 1)
	p.register(key, wake)
	defer p.unregister(key, wake)
	for {
		n, missing, err := p.look(ctx, key, ref)
		if err != nil || missing == "" {
			return n, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return podnet.Network{}, fmt.Errorf("%s: no address yet: %s%s: %w",
				ref, missing, p.reason(ctx, key, ref.UID), context.Cause(ctx))
		}
	}
}

func (p *Waiter) register(key types.NamespacedName, ch chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiters == nil {
		p.waiters = map[types.NamespacedName]map[chan struct{}]bool{}
	}
	if p.waiters[key] == nil {
		p.waiters[key] = map[chan struct{}]bool{}
	}
	p.waiters[key][ch] = true
}

func (p *Waiter) unregister(key types.NamespacedName, ch chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiters[key], ch)
	if len(p.waiters[key]) == 0 {
		delete(p.waiters, key)
	}
}

// look reads the pod once; missing says what to wait for.
func (p *Waiter) look(ctx context.Context, key types.NamespacedName, ref podnet.Ref) (n podnet.Network, missing string, err error) {
	var pod corev1.Pod
	if err := p.Cache.Get(ctx, key, &pod); err != nil {
		// It may still come, as may the cache's first look at the cluster: the event wakes us.
		return n, fmt.Sprintf("no such pod seen on node %s%s: %v", p.NodeName, p.problem(), err), nil
	}
	if ref.UID != "" && ref.UID != string(pod.UID) {
		return n, fmt.Sprintf("the known pod has UID %s, the runtime requests %s%s", pod.UID, ref.UID, p.problem()), nil
	}
	if missing := podnet.Pending(ref, pod.Annotations); missing != "" {
		return n, missing, nil
	}
	n, err = podnet.Parse(ref, string(pod.UID), pod.Annotations)
	if err != nil {
		return n, "", err
	}
	if missing := p.unproven(ctx, n); missing != "" {
		return podnet.Network{}, missing, nil
	}
	projection.Complete(ctx, p.Cache, &n, p.MTU())
	return n, "", nil
}

// unproven returns in what the annotations of a NIC differ from its record; empty if they agree. The controller then
// overwrites the annotations, which wakes the caller.
func (p *Waiter) unproven(ctx context.Context, n podnet.Network) string {
	if p.Records == nil {
		return ""
	}
	var o v1.IP
	if err := p.Records.Get(ctx, types.NamespacedName{Name: n.Port}, &o); err != nil {
		return fmt.Sprintf("the annotations say that it has %s, and its record IP %s cannot be read: %v", model.AddrsText(n.Addrs()), n.Port, err)
	}
	ip, problems := model.IPFrom(&o)
	switch {
	case model.Fatal(problems) || ip.Namespace != n.Namespace:
		return fmt.Sprintf("IP %s is not a record of this pod", n.Port)
	case n.Addrs() != ip.Addrs || ip.MAC != n.MAC.String() || ip.Subnet != n.LogicalSwitch:
		return fmt.Sprintf("the annotations say %s %s of Subnet %s, its record IP %s says %s %s of Subnet %s",
			model.AddrsText(n.Addrs()), n.MAC, n.LogicalSwitch, n.Port, model.AddrsText(ip.Addrs), ip.MAC, ip.Subnet)
	}
	return ""
}

func (p *Waiter) problem() string {
	if p.Problem == nil {
		return ""
	}
	if t := p.Problem(); t != "" {
		return " (" + t + ")"
	}
	return ""
}

// reason is the newest warning about the pod, in parentheses. The caller's time is over, so it gets a little of its
// own.
func (p *Waiter) reason(ctx context.Context, key types.NamespacedName, uid string) string {
	if p.Live == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventTimeout)
	defer cancel()
	about := fields.Set{"involvedObject.kind": "Pod", "involvedObject.name": key.Name, "type": corev1.EventTypeWarning}
	if uid != "" {
		about["involvedObject.uid"] = uid
	}
	var events corev1.EventList
	err := p.Live.List(ctx, &events, client.InNamespace(key.Namespace),
		client.MatchingFieldsSelector{Selector: fields.SelectorFromSet(about)}, client.Limit(100))
	if err != nil {
		return ""
	}
	var newest corev1.Event
	for _, e := range events.Items {
		// Kubelet's events about the runtime's failures would only repeat this error.
		if e.Source.Component != "kubelet" && e.ReportingController != "kubelet" && !at(e).Before(at(newest)) {
			newest = e
		}
	}
	if newest.Name == "" {
		return ""
	}
	return fmt.Sprintf(" (%s: %s)", newest.Reason, newest.Message)
}

func at(e corev1.Event) time.Time {
	if !e.EventTime.IsZero() {
		return e.EventTime.Time
	}
	return e.LastTimestamp.Time
}
