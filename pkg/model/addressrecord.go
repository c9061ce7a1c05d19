// SPDX-License-Identifier: Apache-2.0

package model

// AddressRecord is the durable statement that an object has addresses of a subnet. An IP object is one; every kind of
// object that has addresses returns one.
type AddressRecord struct {
	Owner   Ref    // the object
	User    Ref    // a pod, node or VM, which is compiled again when the addresses change
	Subnet  string // of the addresses
	Addrs   Addrs
	MAC     string // empty for none
	Created int64  // seconds since 1970; of two records of one address the older one has it
	ByUser  bool   // created by a user rather than by the controller
	Field   string // of the object that holds the addresses, for problems
}

// AddressHolder is implemented by the projections of kinds that have addresses.
type AddressHolder interface{ AddressRecord() AddressRecord }

// AddressRecord implements [AddressHolder].
func (ip *IP) AddressRecord() AddressRecord {
	return AddressRecord{
		Owner: Ref{Kind: KindIP, Name: ip.Name}, User: ip.User(), Subnet: ip.Subnet, Addrs: ip.Addrs, MAC: ip.MAC,
		Created: ip.Created, ByUser: ip.Reserved, Field: "spec.ipAddress",
	}
}

// User is the object that uses the recorded addresses.
func (ip *IP) User() Ref {
	switch {
	case ip.Namespace == "":
		return Ref{Kind: KindNode, Name: ip.PodName}
	case ip.PodType == PodTypeVirtualMachine:
		return Ref{Kind: KindVirtualMachine, Namespace: ip.Namespace, Name: ip.PodName}
	default:
		return Ref{Kind: KindPod, Namespace: ip.Namespace, Name: ip.PodName}
	}
}
