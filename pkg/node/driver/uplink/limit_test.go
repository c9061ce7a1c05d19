// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"context"
	"errors"
	"net/netip"

	"github.com/wovensdn/woven/pkg/node/driver/link"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/driver/uplink"
)

var errKilled = errors.New("killed")

// limit lets so many changes of the host pass. The next one fails, and if it is final all that follow it: as if the
// process had ended.
type limit struct {
	left  int
	final bool
}

func (l *limit) spend() error {
	l.left--
	if l.left == -1 || l.final && l.left < 0 {
		return errKilled
	}
	return nil
}

type limitedLinks struct {
	link.Kernel
	l *limit
}

func (k limitedLinks) do(change func() error) error {
	if err := k.l.spend(); err != nil {
		return err
	}
	return change()
}

func (k limitedLinks) SetUp(name string) error {
	return k.do(func() error { return k.Kernel.SetUp(name) })
}

func (k limitedLinks) SetTxChecksum(name string, on bool) error {
	return k.do(func() error { return k.Kernel.SetTxChecksum(name, on) })
}

func (k limitedLinks) CopyAddress(from, to string, a netip.Prefix) error {
	return k.do(func() error { return k.Kernel.CopyAddress(from, to, a) })
}

func (k limitedLinks) DeleteAddress(name string, a netip.Prefix) error {
	return k.do(func() error { return k.Kernel.DeleteAddress(name, a) })
}

func (k limitedLinks) MoveRoute(r link.Route, to string) error {
	return k.do(func() error { return k.Kernel.MoveRoute(r, to) })
}

type limitedSwitch struct {
	uplink.Switch
	limitedLinks
}

func (s limitedSwitch) EnsureBridge(ctx context.Context, b ovs.Bridge) error {
	return s.do(func() error { return s.Switch.EnsureBridge(ctx, b) })
}

func (s limitedSwitch) DeleteBridge(ctx context.Context, name string) error {
	return s.do(func() error { return s.Switch.DeleteBridge(ctx, name) })
}

func (s limitedSwitch) EnsurePort(ctx context.Context, p ovs.Port) error {
	return s.do(func() error { return s.Switch.EnsurePort(ctx, p) })
}

func (s limitedSwitch) DeletePort(ctx context.Context, bridge, name string) error {
	return s.do(func() error { return s.Switch.DeletePort(ctx, bridge, name) })
}

type limitedIngress struct {
	uplink.Ingress
	limitedLinks
}

func (i limitedIngress) DropIngress(device string) error {
	return i.do(func() error { return i.Ingress.DropIngress(device) })
}

func (i limitedIngress) Release(device string) error {
	return i.do(func() error { return i.Ingress.Release(device) })
}

// limited is the driver of a process that ends after so many changes.
func (h *host) limited(changes int, final bool) uplink.Driver {
	k := limitedLinks{h.driver.Links, &limit{left: changes, final: final}}
	return uplink.Driver{Switch: limitedSwitch{h.driver.Switch, k}, Links: k, Ingress: limitedIngress{h.driver.Ingress, k}}
}
