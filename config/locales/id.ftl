# Every text that a citizen reads, in Indonesian. These texts are compiled in; to change some, keep only those in
# `locales/id.ftl` of the configuration folder. `{$name}` stands for a value, and a text may use those that it uses here.
# Limits, checked at start: a button 20 characters; sms-* 160 septets of the GSM 7 bit alphabet with the longest values.


## Chats: questions, answers, buttons

chat-welcome = Halo, ini layanan pengaduan {$org}. Saya bantu mencatat laporan Anda dan memberi nomor lacak. Ini bukan layanan darurat; untuk keadaan darurat hubungi 112.
chat-privacy_notice = Sebelum mulai: {$org} memproses pesan, nomor/akun, lampiran, dan lokasi yang Anda kirim untuk menangani laporan ini (UU 27/2022). Data diteruskan ke instansi berwenang sesuai pilihan Anda, dan disimpan terbatas. Anda dapat melihat, memperbaiki, atau meminta penghapusan data. Lengkapnya: {$url}
chat-consent_ask = Lanjutkan membuat laporan?
    .consent_yes = Ya, lanjutkan
    .consent_no = Tidak
    .privacy_more = Baca dulu
chat-consent_declined = Baik, tidak ada laporan yang dibuat dan percakapan ini kami hapus. Ketik BARU bila berubah pikiran.
chat-ask_type = Apa yang ingin Anda sampaikan?
    .type_complaint = Pengaduan
    .type_aspiration = Aspirasi/usul
    .type_information = Minta informasi
chat-ask_description = Ceritakan masalahnya: apa yang terjadi, di layanan mana, dan sejak kapan. Boleh beberapa pesan; kirim SELESAI bila cukup.
chat-description_too_short = Ceritanya masih terlalu singkat untuk ditindaklanjuti. Bisa ditambah sedikit, misalnya nama tempat atau petugas yang melayani?
chat-description_more = Tercatat. Tambahkan lagi bila perlu, atau kirim SELESAI.
chat-voice_note = Pesan suara tersimpan sebagai lampiran, tetapi petugas perlu ringkasan tertulis. Mohon tulis satu-dua kalimat.
chat-ask_when = Kapan kejadiannya? Contoh: hari ini, kemarin, 20/11/2026.
    .when_today = Hari ini
    .when_yesterday = Kemarin
    .skip = Lewati
chat-ask_location = Di mana lokasinya? Kirim pin lokasi, atau tulis jalan, kelurahan/desa, kecamatan, dan kota/kabupaten.
    .send_location = Kirim lokasi
    .skip = Lewati
chat-location_ok = Lokasi dicatat: {$place}.
chat-location_choose = Ada lebih dari satu tempat bernama {$text}. Pilih yang benar:
chat-ask_agency = Bila tahu, tulis instansi yang dituju. Bila tidak, pilih Lewati; petugas yang akan menentukan.
    .skip = Lewati
chat-ask_attachments = Ada foto, video, atau dokumen pendukung? Kirim sekarang (maks. {$max} berkas, {$mb} MB per berkas).
    .done = Selesai
    .skip = Tidak ada
chat-attachment_ok = Lampiran {$n} diterima.
chat-attachment_too_large = Berkas itu melebihi {$mb} MB sehingga tidak tersimpan. Laporan tetap berjalan; kirim versi yang lebih kecil bila perlu.
chat-attachment_type = Jenis berkas {$type} belum dapat diterima. Gunakan JPG, PNG, MP4, PDF, atau pesan suara.
chat-attachment_failed = Lampiran gagal diunduh dari server pesan. Mohon kirim ulang.
chat-unsupported = Pesan jenis ini (misalnya stiker) tidak dapat dicatat. Mohon kirim teks, foto, atau lokasi.
chat-ask_privacy = Bagaimana laporan ini ditampilkan? ANONIM: nama dan kontak Anda tidak diberikan kepada instansi. RAHASIA: isi laporan tidak dipublikasikan.
    .privacy_normal = Biasa
    .privacy_anonymous = Anonim
    .privacy_confidential = Rahasia
    .privacy_both = Anonim + rahasia
chat-privacy_caveat = Baik. Sistem kami tetap memerlukan akun ini untuk mengirim balasan, tetapi instansi tidak melihatnya. Hindari menulis nama atau nomor Anda di isi laporan.
chat-review =
    Periksa laporan Anda:
    Jenis: {$type}
    Isi: {$text}
    Waktu: {$date}
    Lokasi: {$place}
    Instansi: {$agency}
    Lampiran: {$count}
    Privasi: {$privacy}
    .submit = Kirim
    .edit = Ubah
    .cancel = Batal
chat-edit_which = Bagian mana yang ingin diubah?
    .type = Jenis laporan
    .description = Isi laporan
    .when = Waktu kejadian
    .location = Lokasi
    .agency = Instansi tujuan
    .attachments = Lampiran
    .privacy = Privasi
chat-submitted = Laporan diterima. Nomor lacak: {$id}. Petugas memeriksa paling lambat {$n} hari kerja. Kirim STATUS {$id} untuk memantau, atau TAMBAH {$id} lalu teks untuk menambah keterangan.
chat-queued_degraded = Laporan sudah kami simpan dengan nomor {$id}. Sistem inti sedang sibuk, jadi pembaruan status mungkin terlambat. Anda tidak perlu mengirim ulang.
chat-duplicate = Laporan yang sama sudah kami terima dengan nomor {$id}, jadi tidak dibuat dua kali.
chat-new_or_followup = Apakah pesan ini tambahan untuk laporan {$id} atau laporan baru?
    .followup = Tambahan
    .new = Laporan baru
chat-followup_saved = Keterangan tambahan untuk {$id} sudah dicatat dan diteruskan.
chat-status = Laporan {$id}: {$status} (per {$date}). Ditangani: {$agency}.
chat-status_which = Nomor laporan mana? Kirim STATUS diikuti nomornya, atau pilih:
chat-status_not_found = Nomor {$id} tidak kami temukan untuk akun ini. Periksa kembali penulisannya.
chat-cancelled = Dibatalkan. Isian yang belum terkirim sudah dihapus.
chat-nothing_to_cancel = Tidak ada isian yang sedang berjalan. Untuk menarik laporan yang sudah terkirim, kirim TARIK diikuti nomornya.
chat-withdraw_confirm = Tarik laporan {$id}? Instansi akan diberi tahu dan penanganan dapat dihentikan.
    .withdraw_yes = Ya, tarik
    .withdraw_no = Tidak jadi
chat-erasure_received = Permintaan penghapusan data untuk {$id} dicatat. Data yang tidak wajib disimpan dihapus; hasilnya kami kabari di sini paling lambat 3x24 jam.
chat-privacy_changed = Pilihan privasi laporan {$id} diubah: {$privacy}.
chat-stopped = Pemberitahuan dihentikan. Anda tetap dapat mengirim STATUS diikuti nomor laporan, atau BARU untuk laporan lain.
chat-help = Perintah: BARU - buat laporan; STATUS nomor - lihat perkembangan; TAMBAH nomor teks - tambah keterangan; TARIK nomor - tarik laporan; BATAL - hentikan isian; KEMBALI - langkah sebelumnya; PRIVASI - hak data Anda; BAHASA en - English; BANTUAN - daftar ini.
chat-language_set = Bahasa diganti ke Bahasa Indonesia.
chat-idle_warning = Isian Anda belum terkirim. Kirim pesan apa saja untuk melanjutkan, atau BATAL. Isian dihapus otomatis dalam {$minutes} menit.
chat-stale_button = Tombol itu milik isian sebelumnya. Silakan lanjutkan dari pesan terakhir, atau kirim BARU.
chat-expired = Isian sebelumnya dihapus karena lama tidak dilanjutkan. Kirim BARU untuk memulai lagi.
chat-not_understood = Maaf, jawaban itu belum sesuai. {$question} Ketik BANTUAN untuk pilihan lain.
chat-rate_limited = Terlalu banyak pesan dalam waktu singkat. Laporan yang sudah diterima aman; coba lagi dalam {$minutes} menit.
chat-emergency = Bila ada bahaya terhadap nyawa sekarang, hubungi 112. Laporan di sini tidak dipantau setiap saat.
chat-agency_question = {$agency} memerlukan keterangan untuk laporan {$id}: {$text} Balas pesan ini untuk menjawab.
chat-agency_reply = Tanggapan {$agency} atas laporan {$id}: {$text}
chat-closed = Laporan {$id} dinyatakan selesai. Belum sesuai? Balas dalam {$n} hari kerja untuk membukanya kembali.
chat-rate = Seberapa puas Anda dengan penanganan laporan {$id}?
    .rate_good = Puas
    .rate_mid = Cukup
    .rate_bad = Tidak puas

## The state of a report, as the core names it

status-labels =
    .received = Diterima
    .verifying = Diperiksa petugas
    .info_requested = Menunggu keterangan Anda
    .forwarded = Diteruskan ke instansi
    .in_progress = Sedang ditangani
    .answered = Sudah ditanggapi
    .closed = Selesai
    .rejected = Tidak dapat ditindaklanjuti
    .withdrawn = Ditarik pelapor

## SMS

sms-ack = Laporan diterima, no {$id}. Diperiksa maks {$n} hari kerja. Cek: STATUS {$id}. Tambah: TAMBAH {$id} teks. Data: {$url}
sms-ack_need_location = Laporan {$id} diterima, tetapi lokasinya belum jelas. Balas: TAMBAH {$id} lalu tulis jalan, desa/kelurahan, dan kota.
sms-ack_private = Laporan {$id} diterima. Nomor Anda tidak diberikan ke instansi; isi tidak dipublikasikan. Cek: STATUS {$id}. Info: {$url}
sms-too_short = Pesan terlalu singkat. Tulis apa masalahnya, di mana, dan kapan dalam satu SMS. Contoh: ANONIM jalan rusak di Jl Melati Cilandak sejak Senin.
sms-help = Tulis masalah, lokasi, waktu. Awali ANONIM dan/atau RAHASIA bila perlu. STATUS no = cek. TAMBAH no teks = tambah. TARIK no = tarik. Darurat: 112.
sms-status = {$id}: {$status} per {$date}. {$agency}
sms-status_not_found = Nomor {$id} tidak ditemukan untuk nomor HP ini. Periksa lagi penulisannya.
sms-followup_saved = Tambahan untuk {$id} sudah dicatat.
sms-withdrawn = Laporan {$id} ditarik sesuai permintaan Anda.
sms-erasure_received = Permintaan hapus data {$id} dicatat. Hasilnya kami kabari paling lambat 3x24 jam.
sms-rate_limited = Terlalu banyak SMS. Laporan yang sudah diterima aman. Coba lagi nanti.

## Mail

email-ack_subject = [#{$id}] Laporan Anda kami terima
email-ack_body =
    Terima kasih. Laporan Anda tercatat dengan nomor {$id} pada {$date}.

    Balas email ini (jangan ubah tanda [#{$id}] di subjek) untuk menambah keterangan atau lampiran. Pemeriksaan awal paling lambat {$n} hari kerja.

    {$org} memproses alamat email dan isi pesan ini hanya untuk menangani laporan (UU 27/2022). Untuk merahasiakan identitas dari instansi balas dengan satu kata: ANONIM. Hak Anda atas data: {$url}

    Pesan ini dikirim otomatis satu kali.

## Web form

web-submitted = Laporan terkirim. Nomor lacak {$id}. Simpan PIN ini untuk melihat status; PIN hanya ditampilkan sekali: {$pin}
web-check_fields = Beberapa isian perlu diperbaiki. Data Anda belum dikirim.
web-labels =
    .report_type = Jenis laporan
    .title = Judul singkat
    .description = Isi laporan
    .incident_datetime = Tanggal kejadian
    .location = Lokasi kejadian
    .agency_hint = Instansi tujuan (bila tahu)
    .service_code = Kategori
    .attachments = Lampiran
    .contact = Email atau nomor HP untuk balasan
    .anonymous = Sembunyikan identitas saya dari instansi
    .confidential = Jangan publikasikan isi laporan
    .consent = Saya sudah membaca pemberitahuan privasi
    .submit = Kirim laporan
