// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
)

// Want is a change in the API server that follows from the present state. Wants are level-triggered: each compilation
// declares them until the object has the desired state, and they are written only after the facts of the same
// compilation are committed. So an address is announced after its port exists, and freed after its port is deleted.
type Want interface {
	// Target is the object that is written.
	Target() model.Ref
	// Sort is the part of the object that is written: two writes of one sort to one object are never in progress at
	// once.
	Sort() Sort
}

// Sort is a sort of [Want].
type Sort string

// The sorts of wants.
const (
	SortClaim          Sort = "claim"
	SortUpdateIPRecord Sort = "update"
	SortAdopt          Sort = "adopt"
	SortAnnotate       Sort = "annotate"
	SortCreateSubnet   Sort = "create"
	SortRelease        Sort = "release"
	SortFinalize       Sort = "finalize"
	SortSetGateway     Sort = "gateway"
)

// Sort implements [Want].
func (Claim) Sort() Sort { return SortClaim }

// Sort implements [Want].
func (UpdateIPRecord) Sort() Sort { return SortUpdateIPRecord }

// Sort implements [Want].
func (Adopt) Sort() Sort { return SortAdopt }

// Sort implements [Want].
func (Annotate) Sort() Sort { return SortAnnotate }

// Sort implements [Want].
func (CreateSubnet) Sort() Sort { return SortCreateSubnet }

// Sort implements [Want].
func (Release) Sort() Sort { return SortRelease }

// Sort implements [Want].
func (Finalize) Sort() Sort { return SortFinalize }

// Sort implements [Want].
func (SetGateway) Sort() Sort { return SortSetGateway }

// Claim wants an address recorded for the owner in its request: an IP object.
type Claim struct {
	Request  ipam.Request // names the owner
	Subnets  []string     // in order of preference; the next is tried when one is full
	Pools    []string     // the pool of each of the subnets; nil if no subnet has one
	For      model.Ref    // the pod or node
	PodName  string       // see model.IP
	Provider model.Provider
	NodeName string
	PodType  string // see model.IP
	OwnerUID string // see model.IP
	// Allocation is what the engine chose, for the writer; empty in what compile functions return.
	Allocation ipam.Allocation
}

// Target is the object that records the address.
func (c Claim) Target() model.Ref { return c.Request.Owner }

// ipRef is the IP object of a name.
func ipRef(name string) model.Ref { return model.Ref{Kind: model.KindIP, Name: name} }

// UpdateIPRecord wants the present node and owner of a pod in its record.
type UpdateIPRecord struct {
	IP, UID  string
	NodeName string
	PodType  string // see model.IP
	OwnerUID string // see model.IP
}

// Adopt wants a record that a user created completed: addresses if it has none, a MAC, and the labels.
type Adopt struct {
	IP, UID  string
	NodeName string // of the pod; empty if there is none
	Reserved bool   // it outlives its pods
	// Allocation is what the engine chose, for the writer; empty in what compile functions return.
	Allocation ipam.Allocation
}

// Target is the IP object.
func (a Adopt) Target() model.Ref { return ipRef(a.IP) }

// Target is the IP object.
func (u UpdateIPRecord) Target() model.Ref { return ipRef(u.IP) }

// Annotate wants annotations on a pod, node, namespace or Service; an empty value removes an annotation.
type Annotate struct {
	Object      model.Ref
	UID         string // a recreated object is not annotated
	Annotations map[string]string
}

// Target is the annotated object.
func (a Annotate) Target() model.Ref { return a.Object }

// CreateSubnet wants the Subnet that the annotations of a namespace describe.
type CreateSubnet struct {
	Name    string
	Request *model.SubnetRequest
	// Namespace owns the Subnet, which is deleted with it.
	Namespace, NamespaceUID string
}

// Target is the subnet.
func (s CreateSubnet) Target() model.Ref { return model.Ref{Kind: model.KindSubnet, Name: s.Name} }

// Release wants an IP object deleted, which frees its address.
type Release struct {
	IP  string
	UID string
}

// Target is the IP object.
func (r Release) Target() model.Ref { return ipRef(r.IP) }

// Finalize wants our finalizer added to an object, or removed from it.
type Finalize struct {
	Object  model.Ref
	Present bool
}

// Target is the object with the finalizer.
func (f Finalize) Target() model.Ref { return f.Object }

// SetGateway wants a choice recorded: the nodes through which egress traffic of a centralized subnet leaves now.
type SetGateway struct {
	Subnet string
	UID    string
	Nodes  string // comma separated; more than one with ECMP; empty for none
}

// Target is the subnet.
func (g SetGateway) Target() model.Ref { return model.Ref{Kind: model.KindSubnet, Name: g.Subnet} }
