package webhook

import (
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/podnet"
)

// judge validates objects of one kind.
type judge struct {
	// problems of an object; known is nil if the cluster is not known.
	problems func(raw []byte, namespace string, known model.AdmissionView) ([]model.Problem, error)
	// change has the problems of a change from one to the other; nil if any change is as good as a creation.
	change func(before, after []byte) ([]model.Problem, error)
	// removal has the problem of a deletion; nil if any may be deleted.
	removal func(name string, known model.AdmissionView) (model.Problem, bool)
}

// judgeOf finds how a kind is validated: as a workload, or as its row in the table of kinds says.
func judgeOf(kinds kube.Kinds, gk schema.GroupKind) (judge, bool) {
	if j, ok := workloads[gk]; ok {
		return j, true
	}
	k, ok := kinds.OfGroupKind(gk)
	if !ok || k.Admission == nil {
		return judge{}, false
	}
	j := judge{removal: k.Admission.Removal}
	j.problems = func(raw []byte, _ string, known model.AdmissionView) ([]model.Problem, error) {
		o, leaving, err := decode(raw, k.New())
		if err != nil || leaving {
			return nil, err
		}
		return k.Admission.Problems(o, known), nil
	}
	if k.Admission.Update != nil {
		j.change = func(before, after []byte) ([]model.Problem, error) {
			old, wasLeaving, err := decode(before, k.New())
			if err != nil || wasLeaving {
				return nil, err
			}
			now, leaving, err := decode(after, k.New())
			if err != nil || leaving {
				return nil, err
			}
			return k.Admission.Update(old, now), nil
		}
	}
	return j, true
}

// workloads are pods, and the objects that have templates of pods.
var workloads = map[schema.GroupKind]judge{
	{Kind: "Pod"}: {problems: reading(func(o *corev1.Pod, namespace string, known model.AdmissionView) []model.Problem {
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

// decode reads an object. One that is on its way out is not validated: nothing may hold that up.
func decode[O metav1.Object](raw []byte, into O) (o O, leaving bool, err error) {
	if err := json.Unmarshal(raw, into); err != nil {
		return into, false, fmt.Errorf("decode object: %w", err)
	}
	return into, into.GetDeletionTimestamp() != nil, nil
}

// object is a pointer to an object of the API.
type object[O any] interface {
	*O
	metav1.Object
}

func reading[O any, P object[O]](judge func(P, string, model.AdmissionView) []model.Problem) func([]byte, string, model.AdmissionView) ([]model.Problem, error) {
	return func(raw []byte, namespace string, known model.AdmissionView) ([]model.Problem, error) {
		o, leaving, err := decode(raw, P(new(O)))
		if err != nil || leaving {
			return nil, err
		}
		return judge(o, namespace, known), nil
	}
}

func podProblems(o *corev1.Pod, known model.AdmissionView, among func(*model.Pod, model.AdmissionView) []model.Problem) []model.Problem {
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
func template[O any, P object[O]](path string, of func(P) *corev1.PodTemplateSpec) judge {
	return judge{problems: reading(func(o P, namespace string, known model.AdmissionView) []model.Problem {
		t := of(o)
		pod := &corev1.Pod{Spec: corev1.PodSpec{HostNetwork: t.Spec.HostNetwork}}
		pod.Namespace, pod.Name, pod.Annotations = namespace, o.GetName(), t.Annotations
		list := podProblems(pod, known, func(p *model.Pod, c model.AdmissionView) []model.Problem {
			return model.TemplateProblems(p, o.GetName(), c)
		})
		for i := range list {
			list[i].Field = strings.TrimSuffix(path+list[i].Field, ".")
		}
		return list
	})}
}
