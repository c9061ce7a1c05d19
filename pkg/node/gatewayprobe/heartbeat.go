// SPDX-License-Identifier: Apache-2.0

package gatewayprobe

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	leaseclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/projection"
)

const (
	// beatInterval is between two renewals of a gateway node's Lease, and between two questions to its gateways.
	beatInterval = time.Second
	// beatTimeout bounds one renewal: when a request is lost, the next one is not late.
	beatTimeout = time.Second
	// withdrawRetry is after a Lease that is not needed any more could not be deleted.
	withdrawRetry = 30 * time.Second
)

// Leases is what the heartbeat needs of the Leases (coordination.k8s.io/v1) of one namespace.
type Leases interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (*coordinationv1.Lease, error)
	Create(ctx context.Context, lease *coordinationv1.Lease, opts metav1.CreateOptions) (*coordinationv1.Lease, error)
	Update(ctx context.Context, lease *coordinationv1.Lease, opts metav1.UpdateOptions) (*coordinationv1.Lease, error)
	Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error
}

// NewLeases is a client for the Leases of a namespace. It has a connection of its
// own, by HTTP/1.1: a request that is given up takes its connection with it, and the
// next one does not wait for a server that is gone.
func NewLeases(cfg *rest.Config, namespace string) (Leases, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.NextProtos = []string{"http/1.1"}
	c, err := leaseclient.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("set up client for leases: %w", err)
	}
	return c.Leases(namespace), nil
}

// Heartbeat shows the controller that this node works as a gateway: while the node is a candidate, each answer of the
// join gateways renews its Lease. A node that is no candidate has no Lease. The controller's rule is in package kube,
// type failureDetector.
type Heartbeat struct {
	leases Leases
	node   string
	clock  clock.Clock
	log    logr.Logger

	answered chan struct{} // the gateways have answered
	changed  chan struct{} // what follows has changed

	mu        sync.Mutex
	known     bool
	candidate bool
	uid       types.UID // of the Node

	// What follows belongs to the goroutine of Run alone.
	lease *coordinationv1.Lease // as last stored, nil if not known
	last  time.Time             // when the gateways have last answered
	fails int                   // renewals in a row that failed
}

// NewHeartbeat returns a heartbeat of a node; [Heartbeat.Run] starts it.
func NewHeartbeat(leases Leases, node string, c clock.Clock, log logr.Logger) *Heartbeat {
	return &Heartbeat{
		leases: leases, node: node, clock: c, log: log,
		answered: make(chan struct{}, 1), changed: make(chan struct{}, 1),
	}
}

// Set says whether the node is a candidate, and which incarnation of the Node it is.
func (h *Heartbeat) Set(candidate bool, uid types.UID) {
	h.mu.Lock()
	isNew := !h.known || h.candidate != candidate
	h.known, h.candidate, h.uid = true, candidate, uid
	h.mu.Unlock()
	if isNew {
		wake(h.changed)
	}
}

// Answered says that the gateways have just answered. It never blocks.
func (h *Heartbeat) Answered() { wake(h.answered) }

// wake sends without blocking; one message is enough.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (h *Heartbeat) role() (candidate, known bool, uid types.UID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.candidate, h.known, h.uid
}

// Run renews the Lease until ctx ends.
func (h *Heartbeat) Run(ctx context.Context) {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			h.leave(context.WithoutCancel(ctx))
			return
		case <-h.answered:
			h.last = h.clock.Now()
			h.beat(ctx)
		case <-h.changed:
			again = h.withdraw(ctx)
		case <-again:
			again = h.withdraw(ctx)
		}
	}
}

// beat renews the Lease of a candidate.
func (h *Heartbeat) beat(ctx context.Context) {
	candidate, _, uid := h.role()
	if !candidate {
		return
	}
	err := h.renew(ctx, model.HeartbeatSeconds, uid)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		// The prober goes on meanwhile: if its next answer is there already, the next try is made at once.
		if h.fails++; h.fails == lostAfter {
			h.log.Error(err, "cannot renew the Lease of this gateway node, retrying; the controller may choose another node", "lease", model.HeartbeatLease(h.node))
		}
		return
	}
	if h.fails >= lostAfter {
		h.log.Info("Lease of this gateway node renewed again", "lease", model.HeartbeatLease(h.node), "failed", h.fails)
	}
	h.fails = 0
	select {
	case <-h.answered: // of the time that the renewal took: one renewal is enough for both
	default:
	}
}

// leave announces an orderly end: the datapath goes on working without this process for a while, so a restart needs no
// other gateway node.
func (h *Heartbeat) leave(ctx context.Context) {
	candidate, _, uid := h.role()
	if !candidate || h.lease == nil || h.clock.Since(h.last) > 2*beatInterval {
		return
	}
	if err := h.renew(ctx, model.HeartbeatStoppedSeconds, uid); err != nil {
		h.log.Error(err, "cannot announce the restart of this gateway node in its Lease", "lease", model.HeartbeatLease(h.node))
	}
}

// withdraw deletes the Lease of a node that is no candidate. It returns when to
// try again, nil for never.
func (h *Heartbeat) withdraw(ctx context.Context) <-chan time.Time {
	candidate, known, _ := h.role()
	if candidate || !known {
		return nil
	}
	h.lease, h.fails = nil, 0
	ctx, cancel := context.WithTimeout(ctx, 2*beatTimeout)
	defer cancel()
	name := model.HeartbeatLease(h.node)
	_, err := h.leases.Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		err = h.leases.Delete(ctx, name, metav1.DeleteOptions{})
	}
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	h.log.Info("cannot delete the Lease of this node, which is no gateway candidate, retrying", "lease", name, "cause", err.Error())
	return h.clock.After(withdrawRetry)
}

// renew stores a new sign of life. It is an update of what was read before: of
// requests that were given up, and reach the API server all the same, one at most succeeds.
func (h *Heartbeat) renew(ctx context.Context, seconds int32, uid types.UID) error {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	err := h.store(ctx, seconds, uid)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) {
		h.lease = nil // it is another one by now
		err = h.store(ctx, seconds, uid)
	}
	return err
}

func (h *Heartbeat) store(ctx context.Context, seconds int32, uid types.UID) error {
	name := model.HeartbeatLease(h.node)
	if h.lease == nil {
		lease, err := h.leases.Get(ctx, name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("read lease %s: %w", name, err)
		}
		if err != nil {
			if lease, err = h.leases.Create(ctx, h.filled(&coordinationv1.Lease{}, seconds, uid), metav1.CreateOptions{}); err != nil {
				return fmt.Errorf("create lease %s: %w", name, err)
			}
			h.lease = lease
			return nil
		}
		h.lease = lease
	}
	lease, err := h.leases.Update(ctx, h.filled(h.lease.DeepCopy(), seconds, uid), metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("renew lease %s: %w", name, err)
	}
	h.lease = lease
	return nil
}

// filled writes everything that makes a Lease a sign of life of this node, now.
func (h *Heartbeat) filled(l *coordinationv1.Lease, seconds int32, uid types.UID) *coordinationv1.Lease {
	l.Name = model.HeartbeatLease(h.node)
	if l.Labels == nil {
		l.Labels = map[string]string{}
	}
	l.Labels[annotations.LabelGateway] = "true"
	l.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Node", Name: h.node, UID: uid,
	}}
	now := metav1.NewMicroTime(h.clock.Now())
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &h.node, &seconds, &now
	return l
}

// Candidate reports whether traffic of a centralized subnet of the default
// Vpc may leave through a node.
func Candidate(own *model.Node, subnets []projection.Subnet) bool {
	return slices.ContainsFunc(subnets, func(s projection.Subnet) bool {
		return s.Vpc == model.DefaultVpc && s.GatewayType == model.GatewayCentralized &&
			(slices.Contains(s.Gateways.Nodes, own.Name) || s.Gateways.Selects(own.Labels))
	})
}
