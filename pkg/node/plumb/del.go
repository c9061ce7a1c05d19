// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/wovensdn/woven/pkg/node/driver/ovs"
)

// Del removes the NIC. It looks only at what is on the node, so it works when the pod, its namespace or the API server
// are gone, and it is no error if there is nothing to remove.
func (p *Plumber) Del(ctx context.Context, a Attachment) error {
	unlock, err := p.locks.lock(ctx, a.key())
	if err != nil {
		return fmt.Errorf("wait for another operation on %s: %w", a, err)
	}
	defer unlock()
	return p.remove(ctx, a)
}

// remove takes every part away that is there; one that fails does not keep the others.
func (p *Plumber) remove(ctx context.Context, a Attachment) error {
	ports, err := p.cfg.Switch.Ports()
	if err != nil {
		return fmt.Errorf("list OVS ports: %w", err)
	}
	host, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("open netlink socket: %w", err)
	}
	defer host.Close()
	names, err := linksOf(host, a)
	errs := []error{err}
	for _, port := range ports {
		if whose, ok := portAttachment(port); ok && whose == a {
			errs = append(errs, p.cfg.Switch.DeletePort(ctx, port.Bridge, port.Name))
		}
	}
	if name := HostName(a.ContainerID, a.IfName); !slices.Contains(names, name) {
		names = append(names, name) // without an alias, if ADD was killed
	}
	if name := a.linkName(ports); !slices.Contains(names, name) {
		names = append(names, name) // its chain may be there although the link is gone
	}
	for _, name := range names {
		errs = append(errs, deleteLink(host, name, a))
		if p.onUserspace() {
			errs = append(errs, p.userspace.Release(name))
		}
	}
	return errors.Join(errs...)
}

// linksOf lists the node's ends whose aliases name the attachment, whatever their names are.
func linksOf(host *netlink.Handle, a Attachment) (names []string, err error) {
	links, err := host.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	for _, link := range links {
		if whose, marked := attachmentOf(link.Attrs().Alias); marked && whose == a && link.Type() == "veth" {
			names = append(names, link.Attrs().Name)
		}
	}
	return names, nil
}

// onUserspace reports whether ports may have userspace leftovers; an unknown bridge has no ports.
func (p *Plumber) onUserspace() bool {
	datapath, err := p.cfg.Switch.DatapathType(p.cfg.Bridge)
	return err == nil && datapath == ovs.UserspaceDatapath
}

// GC removes every attachment that Woven made and that is not in valid. Attachments on which an operation is under way
// are left alone: the list was made before it.
func (p *Plumber) GC(ctx context.Context, valid []Attachment) error {
	found, err := p.attachments()
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range found {
		if slices.Contains(valid, a) || p.locks.busy(a.key()) {
			continue
		}
		p.cfg.Log.Info("removing an attachment that the runtime does not know", "container", a.ContainerID, "interface", a.IfName)
		if err := p.Del(ctx, a); err != nil {
			errs = append(errs, fmt.Errorf("remove %s: %w", a, err))
		}
	}
	if p.onUserspace() {
		errs = append(errs, p.releaseOrphans())
	}
	return errors.Join(errs...)
}

// attachments lists what Woven plumbed here, by its OVS ports and by the aliases of links, each attachment once.
func (p *Plumber) attachments() ([]Attachment, error) {
	ports, err := p.cfg.Switch.Ports()
	if err != nil {
		return nil, fmt.Errorf("list OVS ports: %w", err)
	}
	var out []Attachment
	for _, port := range ports {
		if a, ok := portAttachment(port); ok {
			out = append(out, a)
		}
	}
	host, err := netlink.NewHandle()
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	defer host.Close()
	links, err := host.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	for _, link := range links {
		if a, ok := attachmentOf(link.Attrs().Alias); ok && link.Type() == "veth" && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out, nil
}

// releaseOrphans removes the chains of devices that went without DEL, with their namespace for instance.
func (p *Plumber) releaseOrphans() error {
	devices, err := p.userspace.Devices()
	if err != nil {
		return err
	}
	host, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("open netlink socket: %w", err)
	}
	defer host.Close()
	var errs []error
	for _, device := range devices {
		if _, err := host.LinkByName(device); isNotFound(err) {
			errs = append(errs, p.userspace.Release(device))
		}
	}
	return errors.Join(errs...)
}
