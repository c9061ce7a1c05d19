package node

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/node/plumb"
	"github.com/wovensdn/woven/pkg/podnet"
)

// NICs changes NICs of running pods; see [plumb.Plumber.Refit].
type NICs interface {
	Refit(ctx context.Context, nic plumb.NIC, want podnet.Network) error
}

// refit gives running pods the gateways that their annotations name now, and the
// MTU of their subnets. What a NIC has is remembered by its OVS port, so that a
// change is seen that came while nobody was here.
func (l *Loop) refit(ctx context.Context) (errs []error) {
	ports, err := l.e.Switch.Ports()
	if err != nil {
		return []error{fmt.Errorf("list OVS ports: %w", err)}
	}
	for _, port := range ports {
		nic, ok := plumb.NICOf(port)
		if !ok {
			continue
		}
		want, known, err := l.network(ctx, nic.Ref)
		if err != nil {
			errs = append(errs, err)
		}
		if !known || nic.Fits(want) {
			continue
		}
		err = l.e.NICs.Refit(ctx, nic, want)
		switch {
		case errors.Is(err, plumb.ErrBusy):
			l.kickLater(ctx) // nobody tells that the other operation has ended
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: annotation %s and MTU of subnet %s: %w",
				nic.Ref, podnet.GatewayKey(nic.Ref), want.LogicalSwitch, err))
		default:
			l.e.Metrics.repairs(1)
		}
	}
	return errs
}

// network is what the NIC of a running pod shall be; known is false if nobody says so.
func (l *Loop) network(ctx context.Context, ref podnet.Ref) (n podnet.Network, known bool, err error) {
	var pod corev1.Pod
	if err := l.e.Cache.Get(ctx, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}, &pod); client.IgnoreNotFound(err) != nil {
		return n, false, fmt.Errorf("read %s: %w", ref, err)
	}
	// The UID of a pod that is not there is empty.
	if string(pod.UID) != ref.UID || podnet.Pending(ref, pod.Annotations) != "" {
		return n, false, nil
	}
	if n, err = podnet.Parse(ref, ref.UID, pod.Annotations); err != nil {
		return n, false, err
	}
	n.MTU = subnetMTU(ctx, l.e.Cache, n.LogicalSwitch, l.MTU())
	return n, true, nil
}

// subnetMTU is the MTU in bytes of pods of a subnet: the one that it names, else the node's.
func subnetMTU(ctx context.Context, cache client.Reader, subnet string, node int) int {
	var s v1.Subnet
	if err := cache.Get(ctx, types.NamespacedName{Name: subnet}, &s); err == nil && s.Spec.Mtu > 0 {
		return int(s.Spec.Mtu)
	}
	return node
}

// kickLater asks for a pass after a moment.
func (l *Loop) kickLater(ctx context.Context) {
	go func() {
		select {
		case <-ctx.Done():
		case <-l.e.Clock.After(minBackoff):
			l.Kick()
		}
	}()
}

var _ NICs = (*plumb.Plumber)(nil)
