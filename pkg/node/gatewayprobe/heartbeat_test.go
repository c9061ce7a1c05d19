// SPDX-License-Identifier: Apache-2.0

package gatewayprobe

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/testr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/projection"
)

// leaseServer keeps Leases as an API server does: it refuses updates of what is
// not the newest version, and anything about Leases that are not there.
type leaseServer struct {
	t  *testing.T
	mu sync.Mutex
	// hang lets requests wait until they are given up; late stores them all the same.
	hang, late bool
	leases     map[string]*coordinationv1.Lease
	version    int
	renewed    int // how often a Lease was stored
}

func newLeaseServer(t *testing.T) *leaseServer {
	return &leaseServer{t: t, leases: map[string]*coordinationv1.Lease{}}
}

var leaseResource = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}

// serve answers a request, unless the server hangs.
func (s *leaseServer) serve(ctx context.Context, answer func() error) error {
	if _, ok := ctx.Deadline(); !ok {
		s.t.Error("a request without a limit")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hang {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		if s.late {
			_ = answer()
		}
		return ctx.Err()
	}
	return answer()
}

func (s *leaseServer) stored(l *coordinationv1.Lease) *coordinationv1.Lease {
	s.version++
	s.renewed++
	l = l.DeepCopy()
	l.ResourceVersion = strconv.Itoa(s.version)
	s.leases[l.Name] = l
	return l.DeepCopy()
}

func (s *leaseServer) Get(ctx context.Context, name string, _ metav1.GetOptions) (out *coordinationv1.Lease, err error) {
	err = s.serve(ctx, func() error {
		l := s.leases[name]
		if l == nil {
			return apierrors.NewNotFound(leaseResource, name)
		}
		out = l.DeepCopy()
		return nil
	})
	return out, err
}

func (s *leaseServer) Create(ctx context.Context, l *coordinationv1.Lease, _ metav1.CreateOptions) (out *coordinationv1.Lease, err error) {
	err = s.serve(ctx, func() error {
		if s.leases[l.Name] != nil {
			return apierrors.NewAlreadyExists(leaseResource, l.Name)
		}
		out = s.stored(l)
		return nil
	})
	return out, err
}

func (s *leaseServer) Update(ctx context.Context, l *coordinationv1.Lease, _ metav1.UpdateOptions) (out *coordinationv1.Lease, err error) {
	err = s.serve(ctx, func() error {
		have := s.leases[l.Name]
		switch {
		case have == nil:
			return apierrors.NewNotFound(leaseResource, l.Name)
		case have.ResourceVersion != l.ResourceVersion:
			return apierrors.NewConflict(leaseResource, l.Name, errors.New("it has changed"))
		}
		out = s.stored(l)
		return nil
	})
	return out, err
}

func (s *leaseServer) Delete(ctx context.Context, name string, _ metav1.DeleteOptions) error {
	return s.serve(ctx, func() error {
		if s.leases[name] == nil {
			return apierrors.NewNotFound(leaseResource, name)
		}
		delete(s.leases, name)
		return nil
	})
}

// set changes how the server behaves.
func (s *leaseServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// seen is how often Leases were stored since the last call, and the Lease of n1.
func (s *leaseServer) seen() (count int, lease *coordinationv1.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count, s.renewed = s.renewed, 0
	if l := s.leases["woven-gateway-n1"]; l != nil {
		lease = l.DeepCopy()
	}
	return count, lease
}

type echoFunc func() error

func (f echoFunc) Ping(context.Context, netip.Addr, netip.Addr) error { return f() }

func testSubnet(name, cidr string) *v1.Subnet {
	return &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.SubnetSpec{CIDRBlock: cidr}}
}

// gatewayNode runs a heartbeat and the prober that feeds it, in a bubble of its own.
type gatewayNode struct {
	t      *testing.T
	leases *leaseServer
	heart  *Heartbeat
	prober *Prober
	mu     sync.Mutex
	silent error
	stop   func()
}

func startGateway(t *testing.T) *gatewayNode {
	g := &gatewayNode{t: t, leases: newLeaseServer(t)}
	g.heart = NewHeartbeat(g.leases, "n1", clock.RealClock{}, testr.New(t))
	g.prober = New(echoFunc(func() error {
		g.mu.Lock()
		err := g.silent
		g.mu.Unlock()
		if err != nil {
			<-clock.RealClock{}.After(time.Second) // as ICMP does
		}
		return err
	}), clock.RealClock{}, func() {}, g.heart.Answered)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { g.heart.Run(ctx) })
	wg.Go(func() { g.prober.Run(ctx) })
	g.stop = func() { cancel(); wg.Wait() }
	g.prober.Set([]Hop{{}})
	return g
}

// be makes the node a candidate, or not.
func (g *gatewayNode) be(candidate bool) {
	g.prober.PollFast(candidate)
	g.heart.Set(candidate, "u1")
}

func (g *gatewayNode) answers(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.silent = err
}

// in lets the bubble's time pass and returns how often the Lease was stored meanwhile.
func (g *gatewayNode) in(d time.Duration) int {
	g.leases.seen()
	<-clock.RealClock{}.After(d)
	synctest.Wait()
	n, _ := g.leases.seen()
	return n
}

func TestHeartbeat(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, g *gatewayNode)
	}{
		{"once a second", func(t *testing.T, g *gatewayNode) {
			if n := g.in(100 * time.Second); n < 99 || n > 101 {
				t.Errorf("%d renewals in 100 s", n)
			}
			_, l := g.leases.seen()
			if l.Labels[annotations.LabelGateway] != "true" || *l.Spec.HolderIdentity != "n1" || *l.Spec.LeaseDurationSeconds != model.HeartbeatSeconds ||
				len(l.OwnerReferences) != 1 || l.OwnerReferences[0].UID != "u1" || time.Since(l.Spec.RenewTime.Time) > 2*time.Second {
				t.Errorf("%+v", l)
			}
		}},
		{"only a candidate", func(t *testing.T, g *gatewayNode) {
			g.be(false)
			n := g.in(100 * time.Second)
			if _, l := g.leases.seen(); n != 0 || l != nil {
				t.Errorf("%d renewals, Lease %v", n, l)
			}
			g.be(true)
			if n := g.in(10 * time.Second); n < 9 {
				t.Errorf("%d renewals as a candidate again", n)
			}
		}},
		{"not while the gateway is silent", func(t *testing.T, g *gatewayNode) {
			g.answers(errors.New("silence"))
			g.in(2 * time.Second)
			if n := g.in(100 * time.Second); n != 0 {
				t.Errorf("%d renewals", n)
			}
			g.answers(nil)
			if n := g.in(10 * time.Second); n < 8 {
				t.Errorf("%d renewals", n)
			}
		}},
		{"one lost answer costs two seconds", func(t *testing.T, g *gatewayNode) {
			g.answers(errors.New("silence"))
			g.in(time.Second)
			g.answers(nil)
			if n := g.in(2 * time.Second); n < 1 {
				t.Errorf("%d renewals", n)
			}
		}},
		{"one lost request costs two seconds", func(t *testing.T, g *gatewayNode) {
			g.leases.set(func() { g.leases.hang = true })
			g.in(1100 * time.Millisecond)
			g.leases.set(func() { g.leases.hang = false })
			if n := g.in(1100 * time.Millisecond); n < 1 {
				t.Errorf("%d renewals", n)
			}
		}},
		{"no burst after an outage", func(t *testing.T, g *gatewayNode) {
			g.leases.set(func() { g.leases.hang = true })
			g.in(30 * time.Second)
			g.leases.set(func() { g.leases.hang = false })
			if n := g.in(10 * time.Second); n < 9 || n > 11 {
				t.Errorf("%d renewals in 10 s", n)
			}
		}},
		{"of requests that were given up, one is stored", func(t *testing.T, g *gatewayNode) {
			g.leases.set(func() { g.leases.hang, g.leases.late = true, true })
			if n := g.in(30 * time.Second); n > 1 {
				t.Errorf("%d renewals in an outage", n)
			}
			g.leases.set(func() { g.leases.hang = false })
			if n := g.in(10 * time.Second); n < 9 {
				t.Errorf("%d renewals", n)
			}
		}},
		{"somebody else changes or deletes the Lease", func(t *testing.T, g *gatewayNode) {
			g.leases.set(func() { g.leases.leases["woven-gateway-n1"].ResourceVersion = "999" })
			if n := g.in(3 * time.Second); n < 2 {
				t.Errorf("%d renewals after a change", n)
			}
			g.leases.set(func() { clear(g.leases.leases) })
			if n := g.in(3 * time.Second); n < 2 {
				t.Errorf("%d renewals after a deletion", n)
			}
		}},
		{"an end in order lasts a minute", func(t *testing.T, g *gatewayNode) {
			g.stop()
			if _, l := g.leases.seen(); *l.Spec.LeaseDurationSeconds != model.HeartbeatStoppedSeconds {
				t.Errorf("duration %d s", *l.Spec.LeaseDurationSeconds)
			}
		}},
		{"but not when the datapath is dead", func(t *testing.T, g *gatewayNode) {
			g.answers(errors.New("silence"))
			g.in(5 * time.Second)
			g.stop()
			if _, l := g.leases.seen(); *l.Spec.LeaseDurationSeconds != model.HeartbeatSeconds {
				t.Errorf("duration %d s", *l.Spec.LeaseDurationSeconds)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := startGateway(t)
				g.be(true)
				if n := g.in(5 * time.Second); n < 4 {
					t.Errorf("%d renewals in the first 5 s", n)
				}
				c.run(t, g)
				g.stop()
			})
		})
	}
}

// What an earlier process left behind is deleted by one that is no candidate, however long the API server is away.
func TestHeartbeatLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startGateway(t)
		g.leases.leases["woven-gateway-n1"] = &coordinationv1.Lease{}
		g.leases.set(func() { g.leases.hang = true })
		g.be(false)
		g.in(2 * time.Minute)
		g.leases.set(func() { g.leases.hang = false })
		g.in(withdrawRetry + time.Second)
		if _, l := g.leases.seen(); l != nil {
			t.Error("the Lease is still there")
		}
		g.stop()
	})
}

func TestGatewayCandidate(t *testing.T) {
	own := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{"role": "edge"}}}
	self := projection.NodeOf(own, "n1")
	for _, c := range []struct {
		name   string
		change func(*v1.SubnetSpec)
		want   bool
	}{
		{"named", func(s *v1.SubnetSpec) { s.GatewayNode = "n2,n1:192.0.2.9" }, true},
		{"another one is named", func(s *v1.SubnetSpec) { s.GatewayNode = "n2,n11" }, false},
		{"selected", func(s *v1.SubnetSpec) {
			s.GatewayNodeSelectors = []metav1.LabelSelector{{MatchLabels: map[string]string{"role": "edge"}}}
		}, true},
		{"not selected", func(s *v1.SubnetSpec) {
			s.GatewayNodeSelectors = []metav1.LabelSelector{{MatchLabels: map[string]string{"role": "worker"}}}
		}, false},
		{"distributed", func(s *v1.SubnetSpec) { s.GatewayNode, s.GatewayType = "n1", v1.GatewayDistributed }, false},
		{"another Vpc", func(s *v1.SubnetSpec) { s.GatewayNode, s.Vpc = "n1", "v1" }, false},
	} {
		s := testSubnet("a", "10.20.0.0/16")
		s.Spec.GatewayType = v1.GatewayCentralized
		c.change(&s.Spec)
		if got := Candidate(&self, []projection.Subnet{projection.SubnetOf(testSubnet("b", "10.21.0.0/16")), projection.SubnetOf(s)}); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
