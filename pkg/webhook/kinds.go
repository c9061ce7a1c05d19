package webhook

import (
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/cniserver/podnet"
	"github.com/wovensdn/woven/pkg/model"
)

// kind says how objects of one kind are looked at.
type kind struct {
	// problems of an object; known is nil if the cluster is not known.
	problems func(raw []byte, namespace string, known model.Cluster) ([]model.Problem, error)
	// change has the problems of a change from one to the other; nil if any change is as good as a creation.
	change func(before, after []byte) ([]model.Problem, error)
	// removal has the problem of a deletion; nil if any may be deleted.
	removal func(name string, known model.Cluster) (model.Problem, bool)
}

// kinds are all that the webhook is asked about.
var kinds = map[schema.GroupKind]kind{
	networkKind("Subnet"): {
		problems: projected(model.SubnetFrom, model.SubnetProblems), removal: model.SubnetRemovalProblem,
	},
	networkKind("IPPool"): {problems: projected(model.IPPoolFrom, model.IPPoolProblems)},
	networkKind("IP"):     {problems: projected(model.IPFrom, model.IPProblems), change: changedIP},
	networkKind("Vpc"):    {problems: projected(model.VpcFrom, model.VpcProblems)},

	policyKind(networkingv1.GroupName, model.KindNetworkPolicy):          {problems: alone(model.NetworkPolicyFrom)},
	policyKind(v1alpha1.GroupName, model.KindAdminNetworkPolicy):         {problems: alone(model.AdminNetworkPolicyFrom)},
	policyKind(v1alpha1.GroupName, model.KindBaselineAdminNetworkPolicy): {problems: alone(model.BaselineAdminNetworkPolicyFrom)},
	policyKind(v1alpha2.GroupName, model.KindClusterNetworkPolicy):       {problems: alone(model.ClusterNetworkPolicyFrom)},

	{Kind: "Namespace"}: {problems: projected(model.NamespaceFrom, model.NamespaceProblems)},
	{Kind: "Pod"}: {problems: reading(func(o *corev1.Pod, namespace string, known model.Cluster) []model.Problem {
		o.Namespace = namespace
		return podProblems(o, known, model.PodProblems)
	})},

	{Group: appsv1.GroupName, Kind: "Deployment"}:  template("spec.template.", func(o *appsv1.Deployment) *corev1.PodTemplateSpec { return &o.Spec.Template }),
	{Group: appsv1.GroupName, Kind: "StatefulSet"}: template("spec.template.", func(o *appsv1.StatefulSet) *corev1.PodTemplateSpec { return &o.Spec.Template }),
	{Group: appsv1.GroupName, Kind: "DaemonSet"}:   template("spec.template.", func(o *appsv1.DaemonSet) *corev1.PodTemplateSpec { return &o.Spec.Template }),
	{Group: batchv1.GroupName, Kind: "Job"}:        template("spec.template.", func(o *batchv1.Job) *corev1.PodTemplateSpec { return &o.Spec.Template }),
	{Group: batchv1.GroupName, Kind: "CronJob"}: template("spec.jobTemplate.spec.template.", func(o *batchv1.CronJob) *corev1.PodTemplateSpec {
		return &o.Spec.JobTemplate.Spec.Template
	}),
}

func networkKind(name string) schema.GroupKind {
	return schema.GroupKind{Group: v1.GroupVersion.Group, Kind: name}
}

func policyKind(group string, name model.Kind) schema.GroupKind {
	return schema.GroupKind{Group: group, Kind: string(name)}
}

// object is a pointer to an object of the API.
type object[O any] interface {
	*O
	metav1.Object
}

// decode reads an object; nil if it is on its way out: nothing may hold that up.
func decode[O any, P object[O]](raw []byte) (P, error) {
	o := P(new(O))
	if err := json.Unmarshal(raw, o); err != nil {
		return nil, fmt.Errorf("decode object: %w", err)
	}
	if o.GetDeletionTimestamp() != nil {
		return nil, nil
	}
	return o, nil
}

func reading[O any, P object[O]](judge func(P, string, model.Cluster) []model.Problem) func([]byte, string, model.Cluster) ([]model.Problem, error) {
	return func(raw []byte, namespace string, known model.Cluster) ([]model.Problem, error) {
		o, err := decode[O, P](raw)
		if err != nil || o == nil {
			return nil, err
		}
		return judge(o, namespace, known), nil
	}
}

// projected is for kinds that have a projection: what is wrong with the object
// itself and, if it can be read, what in the cluster speaks against it.
func projected[O, T any, P object[O]](from func(P) (T, []model.Problem), among func(*T, model.Cluster) []model.Problem) func([]byte, string, model.Cluster) ([]model.Problem, error) {
	return reading(func(o P, _ string, known model.Cluster) []model.Problem {
		projection, list := from(o)
		if known == nil || model.Fatal(list) {
			return list
		}
		return append(list, among(&projection, known)...)
	})
}

// alone is for kinds that nothing in the cluster speaks against.
func alone[O, T any, P object[O]](from func(P) (T, []model.Problem)) func([]byte, string, model.Cluster) ([]model.Problem, error) {
	return projected(from, func(*T, model.Cluster) []model.Problem { return nil })
}

func changedIP(before, after []byte) ([]model.Problem, error) {
	old, err := decode[v1.IP](before)
	if err != nil || old == nil {
		return nil, err
	}
	now, err := decode[v1.IP](after)
	if err != nil || now == nil {
		return nil, err
	}
	from, _ := model.IPFrom(old)
	to, list := model.IPFrom(now)
	if model.Fatal(list) {
		return nil, nil // which is refused anyway
	}
	return model.IPChangeProblems(&from, &to), nil
}

func podProblems(o *corev1.Pod, known model.Cluster, among func(*model.Pod, model.Cluster) []model.Problem) []model.Problem {
	pod, list := model.PodFrom(o)
	if len(pod.NICs) == 0 {
		return list
	}
	if err := podnet.CheckRoutes(o.Annotations); err != nil {
		list = append(list, model.Problem{Reason: model.ReasonPodInvalid, Field: model.AnnotationField(annotations.Routes), Message: err.Error(), Fatal: true})
	}
	if known == nil || model.Fatal(list) {
		return list
	}
	return append(list, among(&pod, known)...)
}

// template is for workloads: their pods are looked at before there is one. path
// is that of the template, with a dot at its end.
func template[O any, P object[O]](path string, of func(P) *corev1.PodTemplateSpec) kind {
	return kind{problems: reading(func(o P, namespace string, known model.Cluster) []model.Problem {
		t := of(o)
		pod := &corev1.Pod{Spec: corev1.PodSpec{HostNetwork: t.Spec.HostNetwork}}
		pod.Namespace, pod.Name, pod.Annotations = namespace, o.GetName(), t.Annotations
		list := podProblems(pod, known, func(p *model.Pod, c model.Cluster) []model.Problem {
			return model.TemplateProblems(p, o.GetName(), c)
		})
		for i := range list {
			list[i].Field = strings.TrimSuffix(path+list[i].Field, ".")
		}
		return list
	})}
}
