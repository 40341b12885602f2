# Every text that a citizen reads, in English. These texts are compiled in; to change some, keep only those in
# `locales/en.ftl` of the configuration folder. `{$name}` stands for a value, and a text may use those that it uses here.
# Limits, checked at start: a button 20 characters; sms-* 160 septets of the GSM 7 bit alphabet with the longest values.


## Chats: questions, answers, buttons

chat-welcome = Hello, this is the {$org} complaint service. I will record your report and give you a tracking number. This is not an emergency line; in an emergency call 112.
chat-privacy_notice = Before we start: {$org} processes the messages, number/account, attachments and location you send in order to handle this report (Law 27/2022). Data goes to the responsible agency according to your choice and is kept for a limited time. You may view, correct or ask us to delete your data. Details: {$url}
chat-consent_ask = Shall we continue with your report?
    .consent_yes = Yes, continue
    .consent_no = No
    .privacy_more = Read first
chat-consent_declined = All right, no report was created and we delete this conversation. Send NEW if you change your mind.
chat-ask_type = What would you like to send?
    .type_complaint = Complaint
    .type_aspiration = Suggestion
    .type_information = Ask information
chat-ask_description = Tell us what happened, in which service, and since when. Several messages are fine; send DONE when finished.
chat-description_too_short = That is a bit short to act on. Could you add a little more, such as the place or the counter that served you?
chat-description_more = Noted. Add more if you like, or send DONE.
chat-voice_note = Your voice message is kept as an attachment, but officers need a short written summary. Please write a sentence or two.
chat-ask_when = When did it happen? For example: today, yesterday, 20/11/2026.
    .when_today = Today
    .when_yesterday = Yesterday
    .skip = Skip
chat-ask_location = Where is it? Share a location pin, or write the street, village, district and city.
    .send_location = Send location
    .skip = Skip
chat-location_ok = Location noted: {$place}.
chat-location_choose = There is more than one place called {$text}. Choose the right one:
chat-ask_agency = If you know which agency this is for, write its name. If not, choose Skip and an officer will decide.
    .skip = Skip
chat-ask_attachments = Any photo, video or document to support this? Send it now (max {$max} files, {$mb} MB each).
    .done = Done
    .skip = None
chat-attachment_ok = Attachment {$n} received.
chat-attachment_too_large = That file is over {$mb} MB and was not stored. Your report goes on; send a smaller version if needed.
chat-attachment_type = Files of type {$type} cannot be accepted. Please use JPG, PNG, MP4, PDF or a voice message.
chat-attachment_failed = The attachment could not be fetched from the messaging server. Please send it again.
chat-unsupported = This kind of message (for example a sticker) cannot be recorded. Please send text, a photo or a location.
chat-ask_privacy = How should this report be shown? ANONYMOUS: your name and contact are not given to the agency. CONFIDENTIAL: the content is not published.
    .privacy_normal = Normal
    .privacy_anonymous = Anonymous
    .privacy_confidential = Confidential
    .privacy_both = Both
chat-privacy_caveat = Understood. Our system still needs this account to send you replies, but the agency does not see it. Avoid writing your own name or number in the text.
chat-review =
    Please check your report:
    Type: {$type}
    Text: {$text}
    When: {$date}
    Where: {$place}
    Agency: {$agency}
    Attachments: {$count}
    Privacy: {$privacy}
    .submit = Send
    .edit = Edit
    .cancel = Cancel
chat-edit_which = Which part would you like to change?
    .type = Type of report
    .description = What happened
    .when = When
    .location = Where
    .agency = Agency
    .attachments = Attachments
    .privacy = Privacy
chat-submitted = Report received. Tracking number: {$id}. An officer checks it within {$n} working days. Send STATUS {$id} to follow it, or ADD {$id} and your text to add details.
chat-queued_degraded = Your report is stored under {$id}. The core system is busy, so status updates may be late. You do not need to send it again.
chat-duplicate = We already have this same report under {$id}, so it was not created twice.
chat-new_or_followup = Is this message an addition to report {$id} or a new report?
    .followup = Addition
    .new = New report
chat-followup_saved = Your addition to {$id} is recorded and passed on.
chat-status = Report {$id}: {$status} (as of {$date}). Handled by: {$agency}.
chat-status_which = Which report? Send STATUS and its number, or choose:
chat-status_not_found = We could not find {$id} for this account. Please check the number.
chat-cancelled = Cancelled. What you had entered has been deleted.
chat-nothing_to_cancel = There is nothing in progress. To withdraw a report already sent, send WITHDRAW and its number.
chat-withdraw_confirm = Withdraw report {$id}? The agency will be told and handling may stop.
    .withdraw_yes = Yes, withdraw
    .withdraw_no = Keep it
chat-erasure_received = Your request to delete the data of {$id} is recorded. Data we need not keep is deleted; we tell you the result here within 72 hours.
chat-privacy_changed = The privacy of report {$id} is now: {$privacy}.
chat-stopped = Notifications are stopped. You can still send STATUS and a report number, or NEW for another report.
chat-help = Commands: NEW - make a report; STATUS number - see progress; ADD number text - add details; WITHDRAW number - withdraw; CANCEL - stop; BACK - previous step; PRIVACY - your data rights; LANG id - Bahasa Indonesia; HELP - this list.
chat-language_set = Language set to English.
chat-idle_warning = Your report has not been sent yet. Send any message to continue, or CANCEL. It is deleted automatically in {$minutes} minutes.
chat-stale_button = That button belongs to an earlier entry. Please go on from the last message, or send NEW.
chat-expired = Your earlier entry was deleted because it was left too long. Send NEW to start again.
chat-not_understood = Sorry, that answer does not fit. {$question} Send HELP for other options.
chat-rate_limited = Too many messages in a short time. Reports already received are safe; please try again in {$minutes} minutes.
chat-emergency = If someone is in danger now, call 112. Reports here are not watched around the clock.
chat-agency_question = {$agency} needs more details about report {$id}: {$text} Reply to this message to answer.
chat-agency_reply = Response from {$agency} to report {$id}: {$text}
chat-closed = Report {$id} is marked as done. Not resolved? Reply within {$n} working days to reopen it.
chat-rate = How satisfied are you with how report {$id} was handled?
    .rate_good = Satisfied
    .rate_mid = Fair
    .rate_bad = Not satisfied

## The state of a report, as the core names it

status-labels =
    .received = Received
    .verifying = Being checked
    .info_requested = Waiting for your answer
    .forwarded = Forwarded to the agency
    .in_progress = In progress
    .answered = Answered
    .closed = Done
    .rejected = Cannot be handled
    .withdrawn = Withdrawn

## SMS

sms-ack = Report received, no {$id}. Checked within {$n} working days. Check: STATUS {$id}. Add: ADD {$id} text. Data: {$url}
sms-ack_need_location = Report {$id} received, but the place is unclear. Reply: ADD {$id} then the street, village and city.
sms-ack_private = Report {$id} received. Your number is not given to the agency; the text is not published. Check: STATUS {$id}. Info: {$url}
sms-too_short = Message too short. Write what, where and when in one SMS. Example: ANONYMOUS road damaged at Jl Melati Cilandak since Monday.
sms-help = Write the problem, place, time. Start with ANONYMOUS and/or CONFIDENTIAL if needed. STATUS no, ADD no text, WITHDRAW no. Emergency: 112.
sms-status = {$id}: {$status} as of {$date}. {$agency}
sms-status_not_found = {$id} was not found for this phone number. Please check it.
sms-followup_saved = Your addition to {$id} is recorded.
sms-withdrawn = Report {$id} is withdrawn as you asked.
sms-erasure_received = Your request to delete the data of {$id} is recorded. We tell you the result within 72 hours.
sms-rate_limited = Too many messages. Reports already received are safe. Try again later.

## Mail

email-ack_subject = [#{$id}] We received your report
email-ack_body =
    Thank you. Your report is recorded as {$id} on {$date}.

    Reply to this email (keep the [#{$id}] mark in the subject) to add details or attachments. The first check takes at most {$n} working days.

    {$org} processes your address and message only to handle this report (Law 27/2022). To hide your identity from the agency reply with one word: ANONYMOUS. Your data rights: {$url}

    This automatic message is sent once.

## Web form

web-submitted = Report sent. Tracking number {$id}. Keep this PIN to see the status; it is shown only once: {$pin}
web-check_fields = Some fields need attention. Nothing has been sent yet.
web-labels =
    .report_type = Type of report
    .title = Short title
    .description = What happened
    .incident_datetime = Date of the incident
    .location = Place of the incident
    .agency_hint = Agency (if known)
    .service_code = Category
    .attachments = Attachments
    .contact = Email or phone for replies
    .anonymous = Hide my identity from the agency
    .confidential = Do not publish the content
    .consent = I have read the privacy notice
    .submit = Send report
