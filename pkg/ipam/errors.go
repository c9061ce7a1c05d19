// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/wovensdn/woven/pkg/model"
)

// Sentinels for [errors.Is]; the concrete types below carry the names.
var (
	// ErrNoSubnet: the subnet was never set, or was deleted.
	ErrNoSubnet = errors.New("subnet does not exist")
	// ErrExhausted: no address of one family is free.
	ErrExhausted = errors.New("no address is free")
	// ErrOutside: a static address is not a host address of the subnet.
	ErrOutside = errors.New("address is outside the subnet")
	// ErrGateway: a static address or MAC is that of the subnet's gateway.
	ErrGateway = errors.New("belongs to the gateway")
	// ErrConflict: a static address or MAC belongs to another owner.
	ErrConflict = errors.New("belongs to another owner")
	// ErrHeld: the owner has another allocation than it now requests.
	ErrHeld = errors.New("owner has another allocation")
	// ErrInvalid: the request or the record contradicts itself.
	ErrInvalid = errors.New("invalid")
)

// NoSubnetError names a subnet that does not exist. It is an [ErrNoSubnet].
type NoSubnetError struct{ Subnet string }

func (e *NoSubnetError) Error() string { return fmt.Sprintf("subnet %s does not exist", e.Subnet) }

// Is reports whether target is [ErrNoSubnet].
func (e *NoSubnetError) Is(target error) bool { return target == ErrNoSubnet }

// ExhaustedError names the subnet and the family that has no free address. It is an [ErrExhausted].
type ExhaustedError struct {
	Subnet string
	Family model.Family
	Within bool // the request was limited to some ranges of the subnet
	Pool   string
	Holder model.Ref // of an address of the pool; zero if the pool has none of the IP family
}

func (e *ExhaustedError) Error() string {
	where := ""
	switch {
	case e.Pool != "" && e.Holder == (model.Ref{}):
		return fmt.Sprintf("pool %s of subnet %s has no %s address to allocate", e.Pool, e.Subnet, e.Family)
	case e.Pool != "":
		return fmt.Sprintf("pool %s of subnet %s has no free %s address, all are in use, one of them by %s", e.Pool, e.Subnet, e.Family, e.Holder.Text())
	}
	if e.Within {
		where = " in the requested ranges"
	}
	return fmt.Sprintf("subnet %s has no free %s address%s", e.Subnet, e.Family, where)
}

// Is reports whether target is [ErrExhausted].
func (e *ExhaustedError) Is(target error) bool { return target == ErrExhausted }

// OutsideError names a static address that is not a host address of the CIDR: outside of it, or its network or
// broadcast address. It is an [ErrOutside].
type OutsideError struct {
	Subnet string
	Addr   netip.Addr
	CIDR   model.Prefixes
}

func (e *OutsideError) Error() string {
	return fmt.Sprintf("address %s is not a host address of subnet %s (%s)", e.Addr, e.Subnet, cidrText(e.CIDR))
}

// Is reports whether target is [ErrOutside].
func (e *OutsideError) Is(target error) bool { return target == ErrOutside }

// GatewayError names an address or a MAC of the gateway. It is an [ErrGateway].
type GatewayError struct {
	Subnet string
	Addr   netip.Addr // invalid if the error is about the MAC
	MAC    string
}

func (e *GatewayError) Error() string {
	what := "MAC " + e.MAC
	if e.Addr.IsValid() {
		what = "address " + e.Addr.String()
	}
	return fmt.Sprintf("%s belongs to the gateway of subnet %s", what, e.Subnet)
}

// Is reports whether target is [ErrGateway].
func (e *GatewayError) Is(target error) bool { return target == ErrGateway }

// ConflictError names an address or a MAC and its owner. It is an [ErrConflict].
type ConflictError struct {
	Subnet string
	IP     netip.Addr // invalid if the error is about the MAC
	MAC    string
	Holder model.Ref
}

func (e *ConflictError) Error() string {
	what := "MAC " + e.MAC
	if e.IP.IsValid() {
		what = "address " + e.IP.String()
	}
	return fmt.Sprintf("%s of subnet %s belongs to %s", what, e.Subnet, e.Holder.Text())
}

// Is reports whether target is [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// HeldError is the present allocation of an owner that requests another one: it must be released first. It is an
// [ErrHeld].
type HeldError struct{ Held Allocation }

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s holds %s, MAC %s, in subnet %s; that must be released first",
		e.Held.Owner.Text(), addrsText(e.Held.Addrs), e.Held.MAC, e.Held.Subnet)
}

// Is reports whether target is [ErrHeld].
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func cidrText(p model.Prefixes) string {
	return joinText(p.V4.IsValid(), p.V4, p.V6.IsValid(), p.V6)
}

func addrsText(a model.Addrs) string {
	return joinText(a.V4.IsValid(), a.V4, a.V6.IsValid(), a.V6)
}

func joinText(has4 bool, v4 fmt.Stringer, has6 bool, v6 fmt.Stringer) string {
	var parts []string
	if has4 {
		parts = append(parts, v4.String())
	}
	if has6 {
		parts = append(parts, v6.String())
	}
	if len(parts) == 0 {
		return "no address"
	}
	return strings.Join(parts, ",")
}
