// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/node/plumb"
	"github.com/wovensdn/woven/pkg/node/projection"
	"github.com/wovensdn/woven/pkg/podnet"
)

// NICs changes NICs of running pods; see [plumb.Plumber].
type NICs interface {
	Reconfigure(ctx context.Context, nic plumb.NIC, want podnet.Network) error
}

// reconfigure gives running pods the gateways and prefix lengths that their annotations name now, and the MTU of their
// subnets. The OVS port records what a NIC has, so that a change is found that was made while this process did not run.
// busy says that another operation works on a NIC that has to change.
func (l *Reconciler) reconfigure(ctx context.Context) (busy bool, errs []error) {
	ports, err := l.e.Switch.Ports()
	if err != nil {
		return false, []error{fmt.Errorf("list OVS ports: %w", err)}
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
		if !known || !nic.Is(want) || nic.Fits(want) {
			continue
		}
		err = l.e.NICs.Reconfigure(ctx, nic, want)
		switch {
		case errors.Is(err, plumb.ErrBusy):
			busy = true
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: annotations %s and %s, and MTU of subnet %s: %w",
				nic.Ref, podnet.GatewayKey(nic.Ref), podnet.CIDRKey(nic.Ref), want.LogicalSwitch, err))
		default:
			l.e.Metrics.Changed(1)
		}
	}
	return busy, errs
}

// network is what the NIC of a running pod must be; known is false if nothing says so. A pod whose address its subnet
// does not contain any more keeps what it has.
func (l *Reconciler) network(ctx context.Context, ref podnet.Ref) (n podnet.Network, known bool, err error) {
	var pod corev1.Pod
	if err := l.e.Cache.Get(ctx, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}, &pod); client.IgnoreNotFound(err) != nil {
		return n, false, fmt.Errorf("read %s: %w", ref, err)
	}
	// The UID of a pod that is not there is empty.
	if string(pod.UID) != ref.UID || podnet.Pending(ref, pod.Annotations) != "" {
		return n, false, nil
	}
	n, err = podnet.Parse(ref, ref.UID, pod.Annotations)
	if errors.Is(err, podnet.ErrOutside) {
		return n, false, nil
	}
	if err != nil {
		return n, false, err
	}
	projection.Complete(ctx, l.e.Cache, &n, l.MTU())
	return n, true, nil
}

var _ NICs = (*plumb.Plumber)(nil)
