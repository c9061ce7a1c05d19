// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Fake is the driver without a database, for tests of packages that use the driver. It is as strict as the driver: it
// knows only bridges that exist, and refuses invalid rows and changes of rows that Woven did not make.
type Fake struct {
	mu       sync.Mutex
	bridges  map[string]Bridge
	made     map[string]bool // the bridges that EnsureBridge made
	mappings string
	ports    map[string]Port
	foreign  map[string]bool
	mirrors  map[string]Mirror
	systemID string
	changed  chan struct{}
	// Fail, if set, is asked before every change; its error is returned instead of making it.
	Fail func(op, name string) error
}

// NewFake returns a fake switch that has one bridge, of the given datapath_type ("" is the kernel's, "netdev"
// userspace).
func NewFake(bridge, datapathType string) *Fake {
	return &Fake{
		bridges: map[string]Bridge{bridge: {Name: bridge, DatapathType: datapathType}}, made: map[string]bool{}, ports: map[string]Port{}, foreign: map[string]bool{},
		mirrors: map[string]Mirror{}, systemID: "fake", changed: make(chan struct{}),
	}
}

// SetMappings is what another writer of external_ids:ovn-bridge-mappings does.
func (f *Fake) SetMappings(mappings string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mappings = mappings
}

// Mappings returns external_ids:ovn-bridge-mappings.
func (f *Fake) Mappings() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mappings
}

// EnsureBridge is [Driver.EnsureBridge].
func (f *Fake) EnsureBridge(_ context.Context, b Bridge) error {
	if err := b.validate(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail("EnsureBridge", b.Name); err != nil {
		return err
	}
	old, exists := f.bridges[b.Name]
	_, taken := f.ports[b.Name]
	switch {
	case exists && !f.made[b.Name]:
		return fmt.Errorf("bridge %q: %w", b.Name, ErrNotOwned)
	case taken && !exists:
		return fmt.Errorf("bridge %q: a port has that name", b.Name)
	}
	mappings, err := setMapping(f.mappings, b.Network, b.Name)
	if err != nil {
		return fmt.Errorf("bridge %q: %w", b.Name, err)
	}
	if b.MAC == "" {
		b.MAC = old.MAC
	}
	port := b.port()
	port.ExternalIDs, port.OFPort = map[string]string{KeyVendor: Vendor}, 65534 // OFPP_LOCAL
	f.mappings, f.bridges[b.Name], f.made[b.Name], f.ports[b.Name] = mappings, b, true, port
	f.wake()
	return nil
}

// DeleteBridge is [Driver.DeleteBridge].
func (f *Fake) DeleteBridge(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail("DeleteBridge", name); err != nil {
		return err
	}
	if _, exists := f.bridges[name]; !exists {
		return nil
	}
	if !f.made[name] {
		return fmt.Errorf("bridge %q: %w", name, ErrNotOwned)
	}
	mappings, err := setMapping(f.mappings, "", name)
	if err != nil {
		return fmt.Errorf("bridge %q: %w", name, err)
	}
	f.mappings = mappings
	delete(f.bridges, name)
	delete(f.made, name)
	maps.DeleteFunc(f.ports, func(_ string, p Port) bool { return p.Bridge == name })
	f.wake()
	return nil
}

// Bridges is [Driver.Bridges].
func (f *Fake) Bridges() (out []Bridge, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(f.made)) {
		b := f.bridges[name]
		b.Network = networkOf(f.mappings, name)
		out = append(out, b)
	}
	return out, nil
}

// AddForeign puts a port there that Woven did not make.
func (f *Fake) AddForeign(p Port) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ports[p.Name], f.foreign[p.Name] = p.clone(), true
}

// MarkInstalled does what ovn-controller does once the flows of a port are installed.
func (f *Fake) MarkInstalled(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.ports[name]
	if !ok {
		return fmt.Errorf("mark port %q installed: no such port", name)
	}
	p = p.clone()
	p.ExternalIDs[KeyOVNInstalled], p.ExternalIDs[KeyOVNInstalledTS] = "true", "1"
	f.ports[name] = p
	f.wake()
	return nil
}

// wake wakes all waiters; the caller holds mu.
func (f *Fake) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// Changed returns a channel that is closed at the next change.
func (f *Fake) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *Fake) fail(op, name string) error {
	if f.Fail == nil {
		return nil
	}
	return f.Fail(op, name)
}

// EnsurePort is [Driver.EnsurePort].
func (f *Fake) EnsurePort(_ context.Context, p Port) error {
	if err := p.validate(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail("EnsurePort", p.Name); err != nil {
		return err
	}
	if _, ok := f.bridges[p.Bridge]; !ok {
		return fmt.Errorf("bridge %q: %w", p.Bridge, ErrNoBridge)
	}
	if f.foreign[p.Name] {
		return fmt.Errorf("port %q: %w", p.Name, ErrNotOwned)
	}
	old := f.ports[p.Name]
	ids := maps.Clone(old.ExternalIDs)
	if ids == nil {
		ids = map[string]string{}
	}
	if !sameIdentity(old.ExternalIDs, p.ExternalIDs) {
		delete(ids, KeyOVNInstalled)
		delete(ids, KeyOVNInstalledTS)
	}
	maps.Copy(ids, p.ExternalIDs)
	maps.DeleteFunc(ids, func(_, v string) bool { return v == "" })
	ids[KeyVendor] = Vendor
	p = p.clone()
	p.ExternalIDs = ids
	f.ports[p.Name] = p
	f.wake()
	return nil
}

// DeletePort is [Driver.DeletePort].
func (f *Fake) DeletePort(_ context.Context, bridge, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail("DeletePort", name); err != nil {
		return err
	}
	p, ok := f.ports[name]
	if !ok || (bridge != "" && p.Bridge != bridge) {
		return nil
	}
	if f.foreign[name] {
		return fmt.Errorf("port %q: %w", name, ErrNotOwned)
	}
	delete(f.ports, name)
	f.wake()
	return nil
}

// Ports is [Driver.Ports].
func (f *Fake) Ports() ([]Port, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Port
	for _, name := range slices.Sorted(maps.Keys(f.ports)) {
		if !f.foreign[name] {
			out = append(out, f.ports[name].clone())
		}
	}
	return out, nil
}

// WaitInstalled is [Driver.WaitInstalled].
func (f *Fake) WaitInstalled(ctx context.Context, name, ifaceIDVer string) error {
	for {
		f.mu.Lock()
		p, changed := f.ports[name], f.changed
		err := f.fail("WaitInstalled", name)
		f.mu.Unlock()
		if err != nil {
			return err
		}
		if p.Installed(ifaceIDVer) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for external_ids:%s of interface %q: %w", KeyOVNInstalled, name, ctx.Err())
		case <-changed:
		}
	}
}

// EnsureMirror is [Driver.EnsureMirror].
func (f *Fake) EnsureMirror(_ context.Context, m Mirror) error {
	if err := m.validate(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail("EnsureMirror", m.Name); err != nil {
		return err
	}
	if _, ok := f.bridges[m.Bridge]; !ok {
		return fmt.Errorf("bridge %q: %w", m.Bridge, ErrNoBridge)
	}
	if _, ok := f.ports[m.OutputPort]; !ok {
		return fmt.Errorf("mirror %q: output port %q is not on bridge %q", m.Name, m.OutputPort, m.Bridge)
	}
	f.mirrors[m.Name] = m
	return nil
}

// DeleteMirror is [Driver.DeleteMirror].
func (f *Fake) DeleteMirror(_ context.Context, bridge, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail("DeleteMirror", name); err != nil {
		return err
	}
	if f.mirrors[name].Bridge == bridge {
		delete(f.mirrors, name)
	}
	return nil
}

// Mirrors returns what EnsureMirror was given, by name.
func (f *Fake) Mirrors() map[string]Mirror {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.mirrors)
}

// DatapathType is [Driver.DatapathType].
func (f *Fake) DatapathType(bridge string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, ok := f.bridges[bridge]
	if !ok {
		return "", fmt.Errorf("bridge %q: %w", bridge, ErrNoBridge)
	}
	return b.DatapathType, nil
}

// Remote is [Driver.Remote].
func (*Fake) Remote() (string, error) { return "ssl:192.168.77.2:6642", nil }

// SystemID is [Driver.SystemID].
func (f *Fake) SystemID() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.systemID, nil
}
